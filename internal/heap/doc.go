// Package heap joins the tiers into one allocator and keeps it whole across fork, signals and misuse. Both
// front doors call it: the C shim through package cdoor, Go programs through package alloc.
//
//	Malloc -> percpu -> transfer -> centralfreelist -> pageheap -> vm
//
// # The gate
//
// Whoever works on the heap's shared state does so between enter and leave, which count threads in. A fork
// raises forking and waits until the count is zero: then no lock is held and every structure is whole, in
// the parent and in the child. From that moment until the fork is over other threads are not blocked: enter
// fails for them, their allocations come from the side region and their frees are pushed on the deferred
// list. Both change by a single atomic store, so the child, too, finds them whole. Nobody can wait for
// something the forking thread holds, because it holds nothing; so it may go on to wait for the C library's
// stdio locks, which is where allocators that hold their locks over fork hang.
//
// A signal handler that allocates while its thread was inside the gate is served the same way.
//
// # Ownership
//
// Malloc's result belongs to the caller until it is passed to Free or Realloc. All functions are safe for
// concurrent use; an object must be freed once.
//
// Lock order: internal/sys/rank.go; vCPU, transfer, centralfreelist, span table, pageheap. None is held when a function of this
// package returns.
package heap
