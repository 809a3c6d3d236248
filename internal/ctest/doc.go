// Package ctest holds the C door to its promises with C and C++ programs: one tiny program per promise,
// run under the preloaded library. It contains tests only.
//
//	conformance/  one promise of malloc's contract each (ISO C, POSIX, glibc's "Replacing malloc", C++)
//	stress/       lives of processes and threads: fork, signals, dlopen, limits, the differential fuzzer
//	misuse/       one error each, with the diagnosis it must bring
//	lib/          shared libraries that the programs open or link
//	tools/        the launcher that denies system calls by seccomp
//	common/       headers shared by all
//
// # Running
//
//	go test ./internal/ctest                       # about three minutes on two CPUs
//	VCMTEST_LONG=1 go test -timeout 1h ./internal/ctest    # minutes of fork, fuzz and signal storms (also -long)
//	VCMTEST_BRIEF=1 go test -run Stress ./internal/ctest   # the storms, a few seconds each, as where rseq is missing
//	VCMTEST_LIB=none go test ./internal/ctest     # the programs themselves, on the C library's allocator
//
// The library is VCMTEST_LIB, by default build/libvcmalloc.so below the module's root. Without it the
// tests skip, or fail where VCMTEST_REQUIRE_BUILD=1. VCMTEST_DIR=DIR keeps the compiled programs
// there and does not compile unchanged ones again; a failing test prints the command that repeats it. Give
// -count=1 with a library outside the module, whose changes the go command's test cache doesn't see.
//
// # Programs
//
// A program prints "ok" as its last line and exits 0, or says on stderr which check failed, with file and
// line. What it promises stands in its leading comment, where lines of the form "// key: value" tell the
// harness how to run it:
//
//	run: ARGS        one run with these arguments; may repeat (default: one run without any)
//	long: ARGS       the runs of the long mode instead
//	norseq: ARGS     run with these arguments without rseq too
//	only: vcmalloc   a promise glibc does not make; skipped with VCMTEST_LIB=none
//	expect: REGEXP   (misuse) what follows "vcmalloc: " on the one line of diagnosis
//	timeout: D       for one run (default 60s); a hang is reported with gdb's backtraces, where gdb is
//	needs: FILES     shared libraries of lib/ to be built, found in $CTEST_DIR
//	link-lib: FILE   a shared library of lib/ to be linked
//	link:, cflags:   arguments for the linker and the compiler
//	env: K=V         environment
//	serial:          never beside other tests
//	norun:           built only; a test in Go drives it
//
// The programs see CTEST_EXPECT=1 when a library is preloaded, and then hold it to exact figures.
//
// # Diagnosis
//
// A misuse brings exactly one line on stderr, in the form
//
//	vcmalloc: CALL(0xPOINTER): WHAT IT IS...
//
// where CALL is the function called (free, realloc, free_sized, operator delete[] ...), and what it is
// begins with or holds "double free", "interior pointer", "foreign pointer" with the mapping it lies in, or
// "size mismatch".
package ctest
