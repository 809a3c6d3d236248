package alloc

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/percpu"
)

// door is what the fast paths read. small and grown are stored last, so that whoever sees them not zero sees
// the rest; both are 0 until the heap is ready, and stay 0 where every call is to take the slow path.
var door doorState

type doorState struct {
	fine    atomic.Uintptr // one more than the largest size whose class lies in fine slots (sizeclass.FineMax), or 0
	small   atomic.Uintptr // one more than the largest size the fast path serves
	large   atomic.Uintptr // one more than the largest size it takes from a stash
	stashed atomic.Uintptr // one more than the largest size it gives to one
	grown   atomic.Uintptr // bytes of the window handed out; it may lag behind
	ps      uintptr        // Ps that have a record
	records uintptr        // percpu.Pinned by P
	base    uintptr        // of the window
	classes uintptr        // the page map: class by page
	spanIDs uintptr        // and span by page
	mark    uint64         // what free objects begin with; its upper half is compared
	spans   uintptr        // the span table: 64 bytes a span, its first page at offset 0

	// The rest is the assembly's.
	mallocSlow, freeMarked, freeSlow uintptr                        // code of the functions, set before anything is called
	lookup                           [sizeclass.TableLen]uint8      // sizeclass.Lookup
	starts                           [sizeclass.NumClasses]multiple // for classes whose spans have one page
	divides                          [sizeclass.NumClasses]multiple // for all
	whole                            [sizeclass.NumClasses]uint8    // pages of an object, of classes that are stashed, or 0
}

// multiple tells where in a span objects start: off*mul < bound, in 32 bits. No object starts anywhere if bound is 0.
type multiple struct{ mul, bound uint32 }

type record = percpu.Pinned

// For the assembly.
const (
	spanShift   = 6
	recordShift = percpu.PinnedShift
	endsAt      = percpu.EndsAt
	pageShift   = units.PageShift
	pageMask    = units.PageSize - 1
	maxSmall    = units.MaxSmall
	spanPages   = unsafe.Offsetof(span.Span{}.Pages)
	spanHint    = unsafe.Offsetof(span.Span{}.Hint)
	mallocShift = sizeclass.MallocShift
	coarseShift = sizeclass.CoarseShift
	coarseBias  = sizeclass.CoarseBias
)

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
	door.lookup = *sizeclass.Lookup()
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		k := sizeclass.Of(c)
		door.divides[c] = multiple{k.DivMul, k.DivMax + 1}
		if c <= sizeclass.LastOnePage {
			door.starts[c] = door.divides[c]
		}
	}
	initStashes()
	door.grown.Store(a.Grown)
	openMalloc()
	door.stashed.Store(door.large.Load())
}

// openMalloc and closeMalloc let small allocations take the fast path, or none. Preconditions: the rest of the door is
// set.
func openMalloc() {
	door.fine.Store(sizeclass.FineMax + 1)
	door.small.Store(units.MaxSmall + 1)
	if stashes.table != 0 {
		door.large.Store(maxStashed + 1)
	}
}

func closeMalloc() {
	door.fine.Store(0)
	door.small.Store(0)
	door.large.Store(0)
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

// markFreed is where Free begins, but for the assembly: it marks the object at a and returns its class, or 0 for what
// freeSlow is to look at, which it leaves alone: no small object starts there, or one that bears the mark.
//
//go:nosplit
func markFreed(a uintptr) units.ClassID {
	if a-door.base >= door.grown.Load() {
		return 0
	}
	page, off := (a-door.base)>>units.PageShift, a&(units.PageSize-1)
	c := units.ClassID(sys.Byte(door.classes + page))
	if c > sizeclass.LastOnePage {
		off = longOffset(page, a)
	}
	if c == 0 || !sizeclass.Divides(c, off) || sys.Load32(a+4) == uint32(door.mark) {
		return 0
	}
	sys.Store64(a, door.mark) // a second free will see it
	return c
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
