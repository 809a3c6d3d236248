// Command frames writes the call-frame information of the Go functions in libvcmalloc, as an assembly source
// that holds one .eh_frame section:
//
//	go run ./internal/rtfree/frames -in core.o -out frames.S -entries cgo/entries.txt \
//		-stub github.com/vcmalloc/vcmalloc/internal/sys.PanicStub
//
// The Go linker writes .debug_frame only, which strip removes and which no unwinder reads while a program
// runs. It says nothing of RBP either, and Go code replaces RBP, a general register to its C callers. Without
// .eh_frame a backtrace from a signal handler that interrupts Go code stops there, and so do exceptions and
// every profiler that unwinds by the tables.
//
// # From where
//
// The rules come from the machine code itself: core.o, as the link tool left it. From each entry and from the
// panic stub the tool walks every direct call and jump, as package rtfree does, and in each function every
// instruction that can be reached, and tracks the stack pointer, RBP and the slot that holds the caller's RBP.
// Where two paths meet they must agree. A function in which that fails is an error, and so ends the build: a
// wrong rule is worse than none. The tests compare the outcome with the Go linker's .debug_frame, an account
// made by other means.
//
// # The rules
//
// The canonical frame address (CFA) is RSP at the call. A function gets
//
//   - CFA = RSP + n where RBP is not its frame pointer: in its first two instructions, its last two, and all
//     along in functions without a frame;
//   - CFA = RBP + n where it is. So the rules hold as well where sys.CallC rounds the stack pointer down and
//     calls C, and take a few bytes a function however the stack pointer moves;
//   - the caller's RBP at CFA - 16 as long as it lies there.
//
// Other registers that C wants preserved need no rules here: the trampolines in cgo/entry.S save them all and
// say where.
//
// sys.PanicStub stands on a stack of unknown alignment, rounds it down and pushes the return address again.
// From the rounding on, no register and no slot tells its CFA. Its callers fail a check of the language in the
// middle of a function that has a frame, and are unwound by RBP alone. So the stub's return address is all
// that counts: it is in RAX, then in the top word of the rounded stack, as if the call had happened there.
//
// # What it can't see
//
// Functions reached through a pointer. The core has none (rtfree.Indirect) other than the C code that
// sys.CallC calls, which brings its own rules.
package main
