package alloc

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/percpu"
)

// pinnedBatch bounds how many objects one pin serves, some 100 ns.
const pinnedBatch = 32

// MallocBatch fills out with objects of size bytes each. It returns how many there are: less than len(out) only
// with an error. Each is freed by itself, or all by FreeBatch. A batch costs less than as many calls of Malloc.
func MallocBatch(size uintptr, out []unsafe.Pointer) (n int, err error) {
	c := sizeclass.ForMalloc(size)
	for n < len(out) {
		if size < door.small.Load() {
			n += takeBatch(c, out[n:min(n+pinnedBatch, len(out))])
			if n == len(out) {
				break
			}
		}
		p, err := Malloc(size)
		if err != nil {
			return n, err
		}
		out[n] = p
		n++
	}
	return n, nil
}

// takeBatch pops objects of class c from the P's cache. Preconditions: the door is open.
func takeBatch(c units.ClassID, out []unsafe.Pointer) (n int) {
	if v := uintptr(procPin()); v < door.ps {
		r := percpu.PinnedAt(door.records, v)
		for ; n < len(out); n++ {
			p := r.Pop(c)
			if p&1 != 0 {
				break
			}
			sys.Store64(p, 0)
			out[n] = sys.At(p)
		}
	}
	procUnpin()
	return n
}

// FreeBatch frees all of objects; nil pointers among them are skipped. The slice is cleared, so that it keeps
// nothing that could be freed again.
func FreeBatch(objects []unsafe.Pointer) {
	for i, p := range objects {
		objects[i] = nil
		Free(p)
	}
}
