// Package alloc is the Go front door of vcmalloc: memory outside the Go heap, from the same tiers that serve C
// programs under LD_PRELOAD, without cgo.
//
//	p, err := alloc.Malloc(1 << 20)
//	if err != nil {
//		return err // out of memory: nothing changed
//	}
//	defer alloc.Free(p)
//
// # Rules for pointers
//
// The garbage collector neither scans nor moves this memory and does not know of it. It must hold no pointer
// into the Go heap. An object lives until Free; using it afterwards is a bug that nothing catches for certain.
// A double free, an interior or a foreign pointer passed to Free or Realloc is one line on standard error and
// the end of the process.
//
// # Concurrency
//
// All functions are safe for concurrent use. Each call pins its goroutine to its P while it holds locks of
// the heap, so that the Go scheduler can't put it aside with a lock held; nothing that takes long runs pinned.
//
// What is here is the untyped core of the package; typed allocation and arenas build on it.
package alloc
