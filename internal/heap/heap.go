package heap

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
	"github.com/vcmalloc/vcmalloc/percpu"
	"github.com/vcmalloc/vcmalloc/topology"
)

// Heap is one allocator with its own address range. The zero value needs Init; it must not be copied.
type Heap struct {
	gates       [gates]gate
	forking     uint32 // forks under way
	deferred    uint64 // head of the list of frees that came while a fork was under way
	side        side   //
	tick        ticker // of work that is due now and then
	checking    config.Check
	marker      uint64 // of free small objects
	published   publisher
	awareness   awareness // of the memory that the system has left
	divided     bool      // the machine's topology is known
	retain      bool      // free memory does not go back by itself
	uncollapsed bool      // small pages are not collapsed
	aside       Aside     // read and written atomically

	// Front is the first tier; each tier holds the next.
	Front percpu.Cache
}

// Process is the heap that the process's two front doors share.
var Process Heap

// Options of a heap.
type Options struct {
	Config  config.Config
	Seed    uint64 // of the choice of addresses
	PerCPU  percpu.Options
	MaxHeap units.Bytes // what the heap may take from the system; 0: what there is
	SysRoot uintptr     // NUL-terminated path before /proc and /sys; 0: the system's own
}

// Init makes a zero Heap ready. It reports false when the system has no address range or memory for it.
func (h *Heap) Init(o *Options) bool {
	c := &o.Config
	h.checking = c.Check
	h.marker = newMark(o.Seed)
	h.tick.nanos = 1e9
	if c.TickMillis != 0 {
		h.tick.nanos = int64(c.TickMillis) * 1e6
	}
	if !h.pages().Init(pageheap.Options{
		Seed:           o.Seed,
		MaxBytes:       o.MaxHeap,
		LifetimeFiller: c.Legacy&config.LifetimeFiller == 0,
	}) {
		return false
	}
	h.pages().SetLimits(c.SoftLimit, c.HardLimit)
	h.awareness.root, h.awareness.off = o.SysRoot, c.Unaware
	h.retain, h.uncollapsed = c.Retain, c.NoCollapse
	if !h.side.init(h.pages()) {
		return false
	}
	h.Front.Transfer.Central.Legacy = c.Legacy&config.SpanPriority != 0
	p := o.PerCPU
	if c.PerCPULimit != 0 {
		p.Limit = c.PerCPULimit
	}
	switch {
	case c.Legacy&config.PerCPUResize != 0:
		p.Policy = percpu.Static
	case c.PerCPUPolicy == config.PolicyPaper:
		p.Policy = percpu.Paper
	}
	h.Front.Transfer.Legacy = c.Legacy&config.NUCA != 0
	h.Front.Transfer.OneNode = c.Legacy&config.NUMA != 0
	if !h.Front.Init(p) {
		return false
	}
	if c.Topology != 0 {
		h.divide(c.Topology)
	}
	return h.publishTo(c.StatsDir)
}

// divide looks at the machine's topology, once, replaced by the text at override if there is one.
func (h *Heap) divide(override uintptr) {
	h.divided = true
	at, fault := h.Front.Transfer.Divide(override)
	if fault != topology.OK {
		var l sys.Line
		l.Str("vcmalloc: VCMALLOC_TOPOLOGY=").CStr(override, 120).Str(": not understood at character ").Dec(uintptr(at) + 1).
			Str(", the machine's own topology is used; want ").Str(fault.Want()).Flush()
	}
}

// maxRequest is beyond any window, and small enough that sums of sizes don't overflow and its number of pages
// fits units.Pages.
const maxRequest units.Bytes = 1 << 44

// Contains reports whether p lies in memory that objects come from.
func (h *Heap) Contains(p uintptr) bool { return h.pages().Contains(p) || h.side.contains(p) }

// Addresses is what fast paths read to look a pointer up.
func (h *Heap) Addresses() (a pageheap.Addresses) {
	h.pages().Addresses(&a)
	return a
}

func (h *Heap) pages() *pageheap.Heap { return &h.Front.Transfer.Central.Pages }

// Malloc returns size bytes aligned to 16, or 0 when memory is short. From C++ operator new, small allows 8
// bytes aligned to 8.
func (h *Heap) Malloc(size units.Bytes) uintptr {
	if c := sizeclass.ForMalloc(size); c != 0 {
		return h.AllocClass(c)
	}
	p, _ := h.Large(size, 1)
	return p
}

// AllocClass returns an object of size class c, or 0.
func (h *Heap) AllocClass(c units.ClassID) uintptr {
	p, _ := h.allocClass(c, false)
	return p
}

// allocClass is AllocClass; fresh says, if asked, that the object's first word was clear. For sole objects that means that
// all of it reads as zero: every free marks it, and centralfreelist those of pages that were used before.
func (h *Heap) allocClass(c units.ClassID, ask bool) (p uintptr, fresh bool) {
	g := h.enter()
	if g < 0 {
		return h.side.alloc(sizeclass.Size(c), sideAlign(sizeclass.Size(c))), false
	}
	p = h.Front.Alloc(c)
	h.leave(g)
	if p == 0 {
		p = h.allocRefused(c)
	}
	if p != 0 {
		fresh = ask && sys.Load64(p) == 0 // unasked: a read of a page never touched costs a page fault of its own
		unmark(p)
	}
	return p, fresh
}

// AllocClassOn is AllocClass for a goroutine pinned to P v, which found nothing in the P's slab.
func (h *Heap) AllocClassOn(v units.VCPU, c units.ClassID) uintptr {
	g := h.enter()
	if g < 0 {
		return h.side.alloc(sizeclass.Size(c), sideAlign(sizeclass.Size(c)))
	}
	p := h.Front.AllocOn(v, c)
	h.leave(g)
	if p == 0 {
		p = h.allocRefused(c)
	}
	if p != 0 {
		unmark(p)
	}
	return p
}

// Large returns at least size bytes in whole pages, aligned to align bytes, or 0. zeroed says that they are
// known to read as zero. Preconditions: align is a power of two.
func (h *Heap) Large(size, align units.Bytes) (p uintptr, zeroed bool) {
	if size > maxRequest || align > maxRequest {
		return 0, false
	}
	g := h.enter()
	if g < 0 {
		return h.side.alloc(size, max(align, units.PageSize)), false
	}
	p, zeroed = h.large(size, align)
	h.leave(g)
	if p == 0 && h.reclaim() {
		if g = h.enter(); g >= 0 {
			p, zeroed = h.large(size, align)
			h.leave(g)
		}
	}
	return p, zeroed
}

// large is Large for callers inside the gate.
func (h *Heap) large(size, align units.Bytes) (p uintptr, zeroed bool) {
	id, zeroed := h.allocPages(max(units.PagesFor(size), 1), units.PagesFor(align), pageheap.HintNone)
	if id == 0 {
		return 0, false
	}
	return h.pages().Addr(id), zeroed
}

// Zeroed returns size bytes aligned to 16, or 0. zeroed says that they are known to read as zero; otherwise the
// caller clears them.
func (h *Heap) Zeroed(size units.Bytes) (p uintptr, zeroed bool) {
	if c := sizeclass.ForMalloc(size); c != 0 {
		p, zeroed = h.allocClass(c, true)
		return p, zeroed && size > sizeclass.SoleAbove
	}
	return h.Large(size, 1)
}

// Aligned returns size bytes aligned to align, or 0. Preconditions: align is a power of two.
func (h *Heap) Aligned(size, align units.Bytes) uintptr {
	if c := sizeclass.ForAligned(size, align); c != 0 {
		return h.AllocClass(c)
	}
	p, _ := h.Large(size, align)
	return p
}

// Usable is how many bytes the object at p has; 0 for nil and for what is no object.
func (h *Heap) Usable(p uintptr) units.Bytes {
	if h.side.contains(p) {
		return h.side.usable(p)
	}
	var o object
	h.find(p, &o)
	if o.kind == small || o.kind == large {
		return o.size
	}
	return 0
}

// Free gives p back. call names the caller in the line that a bad pointer costs.
func (h *Heap) Free(p uintptr, call Call) {
	if p == 0 {
		return
	}
	if h.side.contains(p) {
		h.freeSide(p, call)
		return
	}
	var o object
	h.examine(p, &o)
	if o.kind != small && o.kind != large {
		h.misuse(&o, p, call)
		return
	}
	h.freeFound(&o, p)
}

// FreeOn is Free for a goroutine pinned to P v.
func (h *Heap) FreeOn(v units.VCPU, p uintptr, call Call) {
	if !h.side.contains(p) {
		var o object
		h.examine(p, &o)
		if o.kind == small && o.hint == pageheap.HintNone {
			h.mark(p)
			h.FreeCheckedOn(v, p, o.class)
			return
		}
	}
	h.Free(p, call)
}

// FreeSized is Free for callers that know the size (and alignment, or 0) they asked for. exact is set where
// the object can't have been resized in place.
func (h *Heap) FreeSized(p uintptr, size, align units.Bytes, exact bool, call Call) {
	if p != 0 && h.SizeFits(p, size, align, exact, call) {
		h.Free(p, call)
	}
}

// SizeFits reports whether the object at p can be one of size bytes, as FreeSized wants it. A mismatch is
// reported; a pointer that is no object is left to Free.
func (h *Heap) SizeFits(p uintptr, size, align units.Bytes, exact bool, call Call) bool {
	if h.side.contains(p) {
		return true
	}
	var o object
	h.find(p, &o)
	if (o.kind == small || o.kind == large) && !sizeFits(&o, size, align, exact) {
		h.mismatch(&o, p, size, call)
		return false
	}
	return true
}

// FreeChecked takes back small object p of class c, which the fast path has checked and marked.
func (h *Heap) FreeChecked(p uintptr, c units.ClassID) {
	g := h.enter()
	if g < 0 {
		h.deferFree(p)
		return
	}
	bad := h.Front.Free(c, p)
	h.leave(g)
	if bad != 0 {
		h.lateMisuse(bad)
	}
}

// FreeCheckedOn is FreeChecked for a goroutine pinned to P v.
func (h *Heap) FreeCheckedOn(v units.VCPU, p uintptr, c units.ClassID) {
	g := h.enter()
	if g < 0 {
		h.deferFree(p)
		return
	}
	bad := h.Front.FreeOn(v, c, p)
	h.leave(g)
	if bad != 0 {
		h.lateMisuse(bad)
	}
}

func (h *Heap) freeFound(o *object, p uintptr) {
	if o.kind == small {
		h.mark(p)
		if o.hint == pageheap.HintNone {
			h.FreeChecked(p, o.class)
			return
		}
	}
	g := h.enter()
	if g < 0 {
		h.deferFree(p)
		return
	}
	bad := uintptr(0)
	if o.kind == small {
		bad = h.freeHinted(o, p)
	} else {
		h.pages().Free(o.span)
	}
	h.leave(g)
	if bad != 0 {
		h.lateMisuse(bad)
	}
}

// Realloc makes p's object size bytes large, in place where it can, and returns its address; 0 when memory
// is short, with the old object as it was. An object with a hint keeps it. Preconditions: p is not nil.
func (h *Heap) Realloc(p uintptr, size units.Bytes, call Call) (q uintptr) {
	old, done := h.ResizeInPlace(p, size, call)
	if done {
		return p
	}
	if old == 0 {
		return 0
	}
	if hint := h.Hint(p); hint != pageheap.HintNone {
		q, _ = h.Hinted(size, 1, hint)
	} else if q = h.Roomy(size, old); q == 0 {
		q = h.Malloc(size)
	}
	if q == 0 {
		return 0
	}
	h.Move(q, p, min(old, size))
	h.Free(p, call)
	return q
}

// ResizeInPlace makes p's object size bytes large if that needs no move; done tells. old is how many bytes it
// had; 0 if p was no object, which has been reported then.
func (h *Heap) ResizeInPlace(p uintptr, size units.Bytes, call Call) (old units.Bytes, done bool) {
	if h.side.contains(p) {
		if old = h.side.usable(p); old == 0 {
			h.misuse(&object{kind: unused}, p, call)
		}
		return old, false
	}
	var o object
	h.examine(p, &o)
	if o.kind != small && o.kind != large {
		h.misuse(&o, p, call)
		return 0, false
	}
	return o.size, staysInPlace(o.size, size) || o.kind == large && h.resize(&o, size)
}

// Move moves n bytes from object p to object q. Afterwards p's contents are undefined. Between NUMA nodes it copies:
// pages that moved would take their node's memory along.
func (h *Heap) Move(q, p uintptr, n units.Bytes) {
	if h.sameNode(p, q) {
		Move(q, p, n)
	} else {
		sys.Copy(q, p, n)
	}
}

// Move is Heap.Move for objects of one node.
//
// Whole hugepages are moved by the kernel, page tables and all: copying 2 MiB costs some 200 us, the system call
// a few. One call for each: before Linux 6.17 a call must not reach over two of the kernel's areas, which begin
// and end with hugepages here, and it has unmapped the destination by the time it finds out.
func Move(q, p uintptr, n units.Bytes) {
	const step = units.HugePageSize
	if (q|p)&(step-1) == 0 {
		for ; n >= step; p, q, n = p+step, q+step, n-step {
			e := sys.MovePages(p, q, step)
			if e == 0 {
				continue
			}
			if e != sys.EINVAL { // not refused outright: there may be a hole now
				sys.Mmap(q, step, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapNoReserve|sys.MapFixed)
			}
			break
		}
	}
	sys.Copy(q, p, n)
}

// staysInPlace: an object is not moved while the request fits and uses more than half of it. Moving earlier
// would save at most that half, and copy each time a program trims a buffer.
func staysInPlace(usable, size units.Bytes) bool { return size <= usable && size > usable/2 }

// sizeFits reports whether a caller who asked for size (aligned to align) can hold object o.
func sizeFits(o *object, size, align units.Bytes, exact bool) bool {
	if !exact && staysInPlace(o.size, size) {
		return true
	}
	if o.kind == large {
		return size <= maxRequest && max(units.PagesFor(size), 1) == units.PagesFor(o.size) && sizeclass.ForAligned(size, max(align, 1)) == 0
	}
	c := sizeclass.ForMalloc(size)
	if align > 16 {
		c = sizeclass.ForAligned(size, align)
	}
	return c == o.class || exact && sizeclass.ForNew(size) == o.class
}

// PagesFrom is from which size on an object that grows gets pages of its own instead of one of a size class. Below, a whole
// number of pages wastes more than 10 % on average, and copying costs less than two rounds of the page heap's lock.
const PagesFrom = 32 << 10

// Roomy is Malloc of size bytes for an object of old bytes that has outgrown its place: it is likely to grow again, so
// it gets pages behind which there is room, if it is large enough for pages. 0 if it is not, or there are none.
func (h *Heap) Roomy(size, old units.Bytes) uintptr {
	if size < PagesFrom || size <= old || size > maxRequest || size/4 > old {
		return 0
	}
	g := h.enter()
	if g < 0 {
		return 0
	}
	id := h.allocRoomy(units.PagesFor(size))
	h.leave(g)
	if id == 0 {
		return 0
	}
	return h.pages().Addr(id)
}

// resize changes a large object in place. It declines to shrink one to what a size class would serve.
func (h *Heap) resize(o *object, size units.Bytes) bool {
	if size <= units.MaxSmall && size < o.size || size > maxRequest {
		return false
	}
	g := h.enter()
	if g < 0 {
		return false
	}
	ok := h.pages().TryResize(o.span, units.PagesFor(size))
	h.leave(g)
	return ok
}

// NestedMalloc and NestedFree serve a signal handler that interrupted its own thread inside the gate: what
// the thread was changing is half done, so nothing but the side region and the deferred list is touched.
func (h *Heap) NestedMalloc(size, align units.Bytes) uintptr {
	sys.BeginHandler()
	p := h.side.alloc(size, max(align, 16))
	sys.EndHandler()
	return p
}

// NestedFree frees p once its thread has left the gate.
func (h *Heap) NestedFree(p uintptr, call Call) {
	if p == 0 {
		return
	}
	if h.side.contains(p) {
		sys.BeginHandler()
		h.freeSide(p, call)
		sys.EndHandler()
		return
	}
	var o object
	h.find(p, &o)
	if o.kind != small && o.kind != large {
		h.misuse(&o, p, call)
		return
	}
	h.deferFree(p)
}

// resetAfterFork is called in a fork's child, before anything else runs there.
func (h *Heap) resetAfterFork() {
	for i := range h.gates {
		atomic.StoreUint32(&h.gates[i].n, 0)
	}
	h.Front.AfterFork()
}
