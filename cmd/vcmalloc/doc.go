// Command vcmalloc runs programs with the allocator, and shows what their heaps hold while they run.
//
//	vcmalloc run [flags] -- PROGRAM ARGS...   the program with libvcmalloc.so preloaded
//	vcmalloc stats [PID] | --all              one process's numbers in full, as text or JSON
//	vcmalloc report PID --over 10s            what changed meanwhile
//	vcmalloc top                              a table of all processes, renewed every second
//	vcmalloc export                           the numbers for Prometheus, over HTTP on the loopback interface
//	vcmalloc clean                            removes the files of processes that have ended
//	vcmalloc version
//
// docs/telemetry.md has examples. The command reads files only (package telemetry); it does not need the
// library, except for run, which finds it (library.go) and then becomes the program by execve.
//
// Each subcommand has a file of its own. Errors are one line that says what failed, where, and what to do;
// the status is 1, and 2 for a wrong command line. run follows env(1): 125 for its own errors, 126 for a
// program that can't be executed, 127 for one that is not found.
package main
