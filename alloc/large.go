package alloc

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// A large object that is freed stays at hand, one for each P, for the next request of as many pages: programs that
// free a buffer of a MiB often want the next one at once, and the page heap has one lock. Who puts one there or
// takes it does so by a compare-and-swap, so that any goroutine may empty the slots.

// maxKept is the largest object that is kept, in bytes. A P keeps at most this much.
const maxKept = units.HugePageSize

// largeSlots holds the kept objects: the address, which is a page's, and the number of pages in its low bits.
var largeSlots [minPs]struct {
	word atomic.Uintptr
	_    [56]byte
}

const _ = uint(units.PageSize - 1 - maxKept>>units.PageShift)

func largeSlot() *atomic.Uintptr {
	v := procPin()
	procUnpin() // a neighbour's slot serves as well
	return &largeSlots[v%minPs].word
}

// takeLarge returns an object of exactly the pages that size bytes need, if one is at hand, or 0. Its contents are
// undefined.
func takeLarge(size uintptr) uintptr {
	slot := largeSlot()
	w := slot.Load()
	if pages := w & (units.PageSize - 1); pages == 0 || pages != uintptr(units.PagesFor(size)) || !slot.CompareAndSwap(w, 0) {
		return 0
	}
	p := w &^ (units.PageSize - 1)
	sys.Store64(p, 0) // the mark
	return p
}

// keepLarge keeps large object p of size bytes, if the P's slot is free. It is marked as small objects are, so that a
// second free is suspected by its first word and proved by the slots.
func keepLarge(p, size uintptr) bool {
	if sys.Load64(p) == core.Mark() && isKept(p) {
		core.ReportDoubleFree(p, heap.CallFree)
		return true
	}
	w := p | size>>units.PageShift
	slot := largeSlot()
	if slot.Load() != 0 {
		return false
	}
	sys.Store64(p, core.Mark())
	return slot.CompareAndSwap(0, w)
}

func isKept(p uintptr) bool {
	for i := range largeSlots {
		if largeSlots[i].word.Load()&^(units.PageSize-1) == p {
			return true
		}
	}
	return false
}

// kept is how many bytes, in how many objects, are at hand.
func kept() (bytes uintptr, objects uint64) {
	for i := range largeSlots {
		if w := largeSlots[i].word.Load(); w != 0 {
			bytes += w & (units.PageSize - 1) << units.PageShift
			objects++
		}
	}
	return bytes, objects
}

// dropLarge frees what is kept, and reports whether there was anything.
func dropLarge() (any bool) {
	for i := range largeSlots {
		if w := largeSlots[i].word.Swap(0); w != 0 {
			any = true
			procPin()
			core.Free(w&^(units.PageSize-1), heap.CallFree)
			procUnpin()
		}
	}
	return any
}
