//go:build !race

package alloc

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
)

// The two functions below are nosplit, which to the compiler says that they have no safe points except at calls
// (cmd/compile/internal/liveness, allUnsafe; runtime.isAsyncSafePoint honours it). So from procUnpin on, the last
// call before the critical section, the goroutine stays on its P without being pinned, as long as nothing is called:
// the section is written out, whatever the inliner thinks of it. That leaves the object out of a register spill
// around procUnpin, and a pair at 9 instead of 12 ns. Where the compiler puts in calls of its own, for the race
// detector, fast_race.go has the same functions pinned throughout.
//
// The stores to inside are explained in percpu/doc.go.

//go:nosplit
func mallocPortable(size uintptr) (unsafe.Pointer, error) {
	if size < door.small.Load() {
		c := sizeclass.ForMalloc(size)
		v := uintptr(procPin())
		procUnpin()
		if v < door.ps {
			r := (*record)(unsafe.Add(nil, door.records+v<<recordShift))
			r.Inside = 1
			s := r.Slab // once: a stopper may change it meanwhile
			at := (*uint64)(unsafe.Add(nil, s+uintptr(c)*8))
			h := *at
			p := uintptr(h >> 16)
			if p&1 == 0 {
				*at = *(*uint64)(unsafe.Add(nil, s+uintptr(h&0xffff)*8-8))
				r.Inside = 0
				*(*uint64)(unsafe.Add(nil, p)) = 0 // the mark of a free object
				return unsafe.Add(nil, p), nil
			}
			r.Inside = 0
		}
	}
	return mallocSlow(size)
}

//go:nosplit
func freePortable(p unsafe.Pointer) {
	a := uintptr(p)
	c := markFreed(a)
	if c == 0 {
		freeSlow(p)
		return
	}
	v := uintptr(procPin())
	procUnpin()
	if v < door.ps {
		r := (*record)(unsafe.Add(nil, door.records+v<<recordShift))
		r.Inside = 1
		s := r.Slab
		at := (*uint64)(unsafe.Add(nil, s+uintptr(c)*8))
		h := *at
		i := h & 0xffff
		if i < uint64(*(*uint16)(unsafe.Add(nil, s+endsAt+uintptr(c)*2))) {
			*(*uint64)(unsafe.Add(nil, s+uintptr(i)*8)) = h
			*at = uint64(a)<<16 | (i + 1)
			r.Inside = 0
			return
		}
		r.Inside = 0
	}
	freeMarked(p)
}
