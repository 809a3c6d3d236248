// Package programs runs programs of Debian 12 with the library preloaded and checks that they still work.
//
// It holds tests only. Each program is one test, with inputs made by the test and results that are known
// beforehand: computed here in Go, stated as a constant, or checked by the program itself (a regression
// suite, fsck, integrity_check). Where a result can't be known it is compared with the same run without
// the library.
//
// # Which library
//
// VCMTEST_LIB names the library; the default is build/libvcmalloc.so at the root of the repository. Any
// malloc replacement will do (libjemalloc.so.2 checks the tests themselves), and VCMTEST_LIB=none runs
// everything without a preload. A missing library or program skips the test, or fails it where
// VCMTEST_REQUIRE_BUILD=1; the message names the Debian package, and packages.txt lists all of them.
// Other VCMALLOC_* variables reach the programs, so VCMALLOC_CHECK=1 go test ./internal/programs tests
// that setting too. A line of the library's on a program's stderr fails the test (unless VCMALLOC_STATS asks
// for one).
//
// # Proof
//
// A preload that silently failed would pass every test, so each of them proves that the library served the
// program, by one or more of:
//
//   - the dynamic loader's own account (LD_DEBUG=files, a log per process): every process of the run, each
//     compiler pass and git helper included, loaded the library;
//   - /proc/PID/maps of the running program and its children: for servers, and for python's suite, which
//     counts open descriptors and would trip over the loader's log;
//   - the loader's symbol bindings (LD_DEBUG=bindings): every reference to malloc and its relatives, from
//     every object in the process, was bound to the library. That catches a program that brings its own
//     allocator, as Debian's redis-server does, and one that finds half of an interface elsewhere.
//
// # Bounds
//
// Every process runs in a group of its own, in its own directory below one temporary directory, under a
// time limit; at the limit the group's threads and what they wait for are reported and the group is
// killed. Servers listen on loopback, on a port the kernel chose, or on a unix socket. The whole takes
// about three minutes on two cores.
package programs
