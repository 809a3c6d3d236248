// Package steps counts the instructions of mallocs and frees exactly, by single-stepping the program from mark to
// mark (PTRACE_SINGLESTEP). Unlike callgrind it runs the real program on the real processor: nothing is translated,
// and restartable sequences are registered.
//
// # Restartable sequences
//
// A step is an exception, and the kernel aborts a sequence that an exception interrupts: a stepped sequence would
// begin again for ever. So they are walked. Before an instruction that stores into the thread's rseq_cs field is
// executed, the descriptor it stores is read, the sequence is disassembled from there on, breakpoints are put on its
// end and on the target of each jump that leaves it, and the program runs at full speed until it meets one. The
// instructions between are those of the straight line to the end, or to the jump taken. A sequence with a jump
// inside itself is refused.
package steps
