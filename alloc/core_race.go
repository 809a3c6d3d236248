//go:build race

package alloc

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// core is the process's heap, in a place that the race detector does not watch: it knows nothing of the core's
// locks, which lie outside the Go heap or wait by futex, nor of slabs and statistics whose reads are racy by intent.
var core = func() *heap.Heap {
	p, e := sys.Mmap(0, unsafe.Sizeof(heap.Heap{}), sys.ProtRead|sys.ProtWrite, sys.MapPrivate)
	if e != 0 {
		panic("vcmalloc: no memory for the heap's own state")
	}
	return (*heap.Heap)(sys.At(p))
}()
