// Package percpu is the front end: per virtual CPU and size class a stack of object addresses that threads
// push and pop without lock or atomic, because only one thread at a time runs on a CPU.
//
// # A slab
//
// One slab per vCPU, populated when the vCPU is first seen:
//
//	word 0..47   headers, 4 bytes a class: index of the first free slot (current), one past the last usable (end)
//	word 48      an odd word: what a class without slots pops
//	word 49...   per class: an odd word, then its slots
//
// Indexes count 8-byte words from the slab's start. A pop that reads an odd word knows the class is empty;
// addresses are even, so no length has to be compared, and since the odd word is its own address plus one,
// prefetching through it is harmless. Slabs come in sizes of 16 to 512 KiB; a vCPU starts with the smallest,
// whose layout puts the classes nearly all requests use on its first page, and moves to the next when a class
// has outgrown its place.
//
// # Who may touch it
//
// The fast paths find the slab in a table indexed by vCPU. With rseq the table lookup, the slot and the
// commit are one restartable sequence. To take a slab from its CPU (to resize or drain it) a thread stores
// the address of the empty slab in the table and fences: afterwards nobody is inside a sequence that saw the
// old address, threads on that vCPU find every class empty and full at once, and the slab is the thread's own
// until it puts the address back. So neither "not yet populated" nor "stopped" costs the fast path a test.
// Without rseq a slab is guarded by its lock instead.
//
// # Capacity
//
// Each vCPU has a budget in bytes (Limit). Classes take capacity from it as they miss (policy.go) and, once
// it is spent, from classes of the same vCPU that have not missed lately. Only misses are counted.
//
// Invariants: available + sum of class size x capacity = capacity of the vCPU; begin <= current <= end;
// capacity never exceeds the layout's.
//
// Lock order: a vCPU's lock comes before the transfer cache's and everything below. With rseq the lock is
// held only while populating, stopping or resizing; nothing below is called with it held except to give a
// drained slab's objects back. Paper section 5.4.1.
package percpu
