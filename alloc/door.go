package alloc

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/percpu"
)

// door is what the fast paths read. small and grown are stored last, so that whoever sees them not zero sees
// the rest; both are 0 until the heap is ready, and stay 0 where every call is to take the slow path.
var door struct {
	small   atomic.Uintptr // one more than the largest size the fast path serves
	grown   atomic.Uintptr // bytes of the window handed out; it may lag behind
	ps      uintptr        // Ps that have a record
	records uintptr        // percpu.Pinned by P
	base    uintptr        // of the window
	classes uintptr        // the page map: class by page
	spanIDs uintptr        // and span by page
	mark    uint64         // what free objects begin with; its upper half is compared
	spans   uintptr        // the span table: 64 bytes a span, its first page at offset 0
}

const spanShift = 6

type record = percpu.Pinned

const recordShift = percpu.PinnedShift

// openDoor lets the fast paths run, where they can.
func openDoor() {
	f := &core.Front
	if f.Records() == 0 {
		return // no membarrier: see percpu
	}
	a := core.Addresses()
	door.records, door.ps = f.Records(), uintptr(f.VCPUs())
	door.base, door.classes, door.spanIDs, door.spans = a.Base, a.Classes, a.SpanIDs, a.Spans
	door.mark = core.Mark()
	door.grown.Store(a.Grown)
	door.small.Store(units.MaxSmall + 1)
}

// refresh lets the fast path of Free see what the window has grown to.
func refresh() {
	if door.ps == 0 || DebugEnabled() {
		return
	}
	if g := core.Addresses().Grown; g != door.grown.Load() {
		door.grown.Store(g)
	}
}

// longOffset is how far p, which lies on page, counted from door.base, is from the start of its span: for classes
// whose spans are longer than a page.
func longOffset(page, p uintptr) uintptr {
	id := uintptr(*(*uint32)(sys.At(door.spanIDs + page*4)))
	first := uintptr(*(*uint32)(sys.At(door.spans + id<<spanShift)))
	return p - door.base - first<<units.PageShift
}

// take pops an object of class c from the P's cache; an odd number if there is none. Preconditions: the door
// is open.
func take(c units.ClassID) uintptr {
	p := uintptr(1)
	if v := uintptr(procPin()); v < door.ps {
		p = percpu.PinnedAt(door.records, v).Pop(c)
	}
	procUnpin()
	return p
}

func put(c units.ClassID, p uintptr) bool {
	v := uintptr(procPin())
	ok := v < door.ps && percpu.PinnedAt(door.records, v).Push(c, p)
	procUnpin()
	return ok
}
