// Package percpu is the front end: per virtual CPU and size class a stack of object addresses that threads
// push and pop without lock or atomic, because only one thread at a time runs on a CPU.
//
// # A slab
//
// One slab per vCPU, populated when the vCPU is first seen:
//
//	word 0..95     headers, 8 bytes a class: the object on top << 16 | index of the first free slot
//	word 96..119   ends, 2 bytes a class: index one past the last usable slot
//	word 120..143  begins, 2 bytes a class: index of the first slot. The fast paths don't read them
//	word 144...    slots
//
// Indexes count 8-byte words from the slab's start; addresses of objects have 47 bits. A slot holds the header that
// was there before the object above it was pushed. So a pop takes its object from the header and puts back what the
// slot below the index holds, a push puts the header in the slot at the index, and each commits by its last store, that
// of the header. A class without objects has an odd top: addresses are even, so no length has to be compared, and
// since it is the slab's own address plus one, prefetching through it is harmless. That a pop's object is in the
// header, not in a slot that the header names, is what mixed sizes gain by: where a free stores follows from its
// object's class, and the next malloc's loads wait until that is known (docs/design.md has figures).
//
// Slabs come in sizes of 16 to 512 KiB. A vCPU starts with the smallest,
// whose layout puts the classes nearly all requests use on its first page. Each slab has a layout of its own: when
// a class has outgrown its place, the vCPU moves to a slab in which every class has what it has now, this one what
// it wants, and all a share of the rest. Any class may get what its budget can pay: 10,000 objects of 64 bytes
// that come and go need 40 % of the budget, and then never miss. A slab that is four times too large shrinks. A
// vCPU whose layouts are outgrown soon after they were made gets slabs with up to four times the room.
//
// # Who may touch it
//
// The fast paths find the slab in a table indexed by vCPU. With rseq the table lookup, the slot and the
// commit are one restartable sequence. To take a slab from its CPU (to resize or drain it) a thread stores
// the address of the empty slab in the table and fences: afterwards nobody is inside a sequence that saw the
// old address, threads on that vCPU find every class empty and full at once, and the slab is the thread's own
// until it puts the address back. So neither "not yet populated" nor "stopped" costs the fast path a test.
// A thread that runs on the vCPU itself needs no fence, if it stores the address in a restartable sequence: nobody
// else is on that vCPU at that instant. So new layouts, which a vCPU's own threads make, interrupt nobody; and where
// there is no membarrier, the background thread takes a slab by going to its CPU (visit.go).
// Without rseq a slab is guarded by its lock instead.
//
// A new layout lies in the other one of two places that each vCPU has for each size of slab; the old slab stays
// mapped, without memory, because a thread that read its address may still look at a header (it finds zeros: no
// capacity). Only who holds the vCPU's lock may raise a class's end, so that no layout changes under it.
//
// # In a Go program
//
// A slab belongs to a P of the Go runtime: a goroutine that is pinned to the P, or that runs code where the
// runtime does not stop goroutines, is the only one there, and owns the slab by that. It may be interrupted by
// the kernel at any instruction, but nobody else runs on its P meanwhile. So its accesses are plain loads and
// stores, and a sequence needs no restart. What is left is to take a slab away from a P:
//
//	owner                           stopper (holds the P's lock)
//	Inside = 1                      Slab = empty slab
//	s = Slab                        membarrier(PRIVATE_EXPEDITED)
//	work on s                       wait until Inside is 0
//	Inside = 0                      work on the old slab; Slab = it
//
// The owner's store of Inside may become visible after its load of Slab: the processor's store buffer. The
// membarrier makes each running thread of the process pass a full barrier between the stopper's store and its
// first look at Inside. Where the barrier falls before the owner's load of Slab, that load sees the empty slab,
// which is harmless; where it falls after, the store of Inside is visible to the stopper, which then waits for the
// owner's last store. A thread that is not running passes a barrier when it is scheduled. Later sections see
// the empty slab. On x86 stores become visible in program order, so whoever sees Inside = 0 sees the work. The
// wait is short, a section being ten instructions, unless the kernel has put the owner's thread aside.
// Without membarrier the owner's store of Inside is an exchange, a barrier of its own (AllocOn, FreeOn).
//
// Package alloc keeps a second store for each P, of whole pages, under the same protocol and the same Inside: Stash in
// the record. Its stopper does with that what a slab's does with Slab, and neither knows of the other.
//
// The P's number can't change under an owner, and a P that is gone (GOMAXPROCS) is a vCPU that stays idle.
//
// # Capacity
//
// Each vCPU has a budget in bytes (Limit). Classes take capacity from it as they miss (policy.go) and, once
// it is spent, from classes of the same vCPU that miss much less often for the bytes they have. Only misses are
// counted. Every five seconds Balance moves budget between vCPUs (shuffle.go has the two policies), and DrainIdle takes
// back what nobody has used for half a minute: objects go to the transfer cache of the domain that the vCPU last missed
// in (follow.go), a whole vCPU's slab to the system.
//
// Invariants: available + sum of class size x capacity = capacity of the vCPU; the sum of the capacities of all
// vCPUs the process has run on = their number x Limit; begin <= index <= end; capacity never exceeds the
// layout's.
//
// Lock order: a vCPU's lock comes before the transfer cache's and everything below. With rseq the lock is
// held only while populating, stopping, resizing or growing a class; nothing below is called with it held except to
// give a stopped slab's objects back. No thread holds two vCPUs' locks. Paper section 5.4.1.
package percpu
