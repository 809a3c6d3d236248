// Package arrowalloc lets Apache Arrow keep its buffers outside the Go heap: an Allocator is a memory.Allocator of
// github.com/apache/arrow-go. It is a module of its own so that vcmalloc does not depend on Arrow, and this package
// does not either: the interface is satisfied by its methods. The tests prove it, and run Arrow's own tests with
// this allocator in the place of Arrow's.
//
//	pool := arrowalloc.New()
//	b := array.NewInt64Builder(pool)
//	defer b.Release()
//
// Arrow counts references: what is not released is never freed. AllocatedBytes tells, or Arrow's own
// memory.NewCheckedAllocator around an Allocator, or the debug mode of package alloc.
package arrowalloc

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/alloc"
)

// alignment is what the Arrow format recommends, and a cache line.
const alignment = 64

// Allocator hands out buffers that are zeroed and aligned to 64 bytes, with a capacity of exactly the size asked
// for. It panics with alloc.ErrOutOfMemory when memory is short: the interface knows no error. Safe for concurrent
// use; the zero value is ready.
type Allocator struct {
	bytes atomic.Int64
}

// New makes an allocator.
func New() *Allocator { return new(Allocator) }

// Allocate returns a buffer of size bytes, zeroed.
func (a *Allocator) Allocate(size int) []byte {
	if size < 0 {
		panic("arrowalloc: negative size")
	}
	if size == 0 {
		return []byte{}
	}
	p, err := alloc.AlignedAlloc(uintptr(size), alignment)
	if err != nil {
		panic(err)
	}
	a.bytes.Add(int64(size))
	b := unsafe.Slice((*byte)(p), size)
	clear(b)
	return b
}

// Reallocate makes b, a buffer of this allocator, size bytes large and returns it, moved if need be; b must not be
// used any more. What is added is zero.
func (a *Allocator) Reallocate(size int, b []byte) []byte {
	switch {
	case size < 0:
		panic("arrowalloc: negative size")
	case cap(b) == 0:
		return a.Allocate(size)
	case size == 0:
		a.Free(b)
		return []byte{}
	}
	old := cap(b)
	p, err := alloc.AlignedRealloc(unsafe.Pointer(unsafe.SliceData(b)), uintptr(size), alignment)
	if err != nil {
		panic(err)
	}
	a.bytes.Add(int64(size - old))
	grown := unsafe.Slice((*byte)(p), size)
	if size > old {
		clear(grown[old:])
	}
	return grown
}

// Free gives b, a buffer of this allocator, back. Its length does not matter.
func (a *Allocator) Free(b []byte) {
	if cap(b) > 0 {
		a.bytes.Add(-int64(cap(b)))
		alloc.Free(unsafe.Pointer(unsafe.SliceData(b)))
	}
}

// AllocatedBytes is how many bytes are allocated and not freed, as asked for.
func (a *Allocator) AllocatedBytes() int64 { return a.bytes.Load() }

// AssertSize fails a test if another number of bytes than size is allocated.
func (a *Allocator) AssertSize(t interface {
	Helper()
	Errorf(format string, args ...any)
}, size int) {
	t.Helper()
	if n := a.AllocatedBytes(); n != int64(size) {
		t.Errorf("arrowalloc: %d bytes are allocated, not %d", n, size)
	}
}
