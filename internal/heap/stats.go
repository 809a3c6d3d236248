package heap

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
	"github.com/vcmalloc/vcmalloc/percpu"
	"github.com/vcmalloc/vcmalloc/transfer"
)

// Stats is where a heap's memory is, in bytes. When the heap is quiescent
//
//	Mapped = Used + Large + Slack + PerCPU + Transfer + Central + FillerFree + FillerReleased + Cache + Unbacked
//
// to the byte; Meta and Side are mapped besides. While other threads allocate, the parts are read one after
// another and may disagree by what moved meanwhile.
type Stats struct {
	Mapped         units.Bytes // of the window, handed out to the tiers
	Used           units.Bytes // objects of size classes in the application's hands, by class size
	Large          units.Bytes // larger objects, by whole pages
	Slack          units.Bytes // tails of spans that hold no object
	PerCPU         units.Bytes // objects in per-CPU caches; see Aside
	Transfer       units.Bytes // objects in transfer caches
	Central        units.Bytes // free objects in spans
	FillerFree     units.Bytes // pageheap.Stats has these; regions' free pages count here
	FillerReleased units.Bytes
	Cache          units.Bytes
	Unbacked       units.Bytes
	Meta           units.Bytes // tables
	Side           units.Bytes // the region that serves while forks are under way

	UsedObjects  uint64 // objects of size classes in the application's hands
	LargeObjects uint64
	Populated    uint32 // vCPUs that have a slab now
	Underflows   uint64 // misses of per-CPU caches on allocation
	Overflows    uint64 // and on free
	Reused       uint64 // objects handed out again that a known domain freed
	Crossed      uint64 // of these, freed in another domain
	Forced       uint64 // of these, at least so many had to (centralfreelist)
	Carried      uint64 // objects in per-CPU caches that moved to another domain with their vCPU

	Pages pageheap.Stats
}

// Accounted is the sum that equals Mapped.
func (s *Stats) Accounted() units.Bytes {
	return s.Used + s.Large + s.Slack + s.PerCPU + s.Transfer + s.Central + s.FillerFree + s.FillerReleased + s.Cache + s.Unbacked
}

// ClassStats is where the objects of one class are.
type ClassStats struct {
	Used     uint64
	PerCPU   uint32
	Transfer transfer.Stats
	Central  centralfreelist.Stats
}

// enterSoon is enter for callers who can wait: until a fork is over, but no more than a second, for the forking
// thread may be waiting for something the caller holds.
func (h *Heap) enterSoon() int {
	for i := 0; ; i++ {
		if g := h.enter(); g >= 0 || i == 1000 {
			return g
		}
		sys.Sleep(1e6)
	}
}

// Class reads one class's counters. It leaves out alone when a fork takes too long.
func (h *Heap) Class(c units.ClassID, out *ClassStats) {
	if g := h.enterSoon(); g >= 0 {
		h.class(c, out)
		h.leave(g)
	}
}

// class is Class for callers inside the gate.
func (h *Heap) class(c units.ClassID, out *ClassStats) {
	t := &h.Front.Transfer
	out.PerCPU = h.Front.Objects(c) + atomic.LoadUint32(&h.aside.Objects[c%sizeclass.NumClasses])
	t.Stats(c, &out.Transfer)
	t.Central.Stats(c, &out.Central)
	out.Used = out.Central.Capacity - out.Central.Free
	out.Used -= min(uint64(out.Transfer.Used)+uint64(out.PerCPU), out.Used)
}

// Stats reads all counters. When a fork takes too long they are all zero.
func (h *Heap) Stats(s *Stats) {
	*s = Stats{}
	if g := h.enterSoon(); g >= 0 {
		h.stats(s)
		h.leave(g)
	}
}

// stats is Stats for callers inside the gate: the tiers' locks are taken, which a fork must not find held.
func (h *Heap) stats(s *Stats) {
	*s = Stats{}
	p := &s.Pages
	h.pages().Stats(p)
	s.Mapped, s.Large, s.Meta = p.Mapped, p.Large, p.Meta
	s.FillerFree, s.FillerReleased, s.Cache, s.Unbacked = p.FillerFree+p.RegionFree, p.FillerReleased, p.Cache, p.Unbacked
	s.Side = units.Bytes(max(atomic.LoadInt64(&h.side.bytes), 0))
	spans := uint64(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		var k ClassStats
		h.class(c, &k)
		size := sizeclass.Size(c)
		s.Used += units.Bytes(k.Used) * size
		s.UsedObjects += k.Used
		s.PerCPU += units.Bytes(k.PerCPU) * size
		s.Transfer += units.Bytes(k.Transfer.Used) * size
		s.Central += units.Bytes(k.Central.Free) * size
		spanBytes := units.Bytes(sizeclass.Pages(c)) << units.PageShift
		s.Slack += units.Bytes(k.Central.Spans)*spanBytes - units.Bytes(k.Central.Capacity)*size
		spans += uint64(k.Central.Spans)
		s.Reused += k.Transfer.Reused + k.Central.Reused
		s.Crossed += k.Transfer.Crossed + k.Central.Crossed
		s.Forced += k.Central.Forced
	}
	s.LargeObjects = p.SpansAllocated - p.SpansFreed - min(spans, p.SpansAllocated-p.SpansFreed)
	h.setAside(s)
	for v := units.VCPU(0); v < h.Front.VCPUs(); v++ {
		var k percpu.Stats
		h.Front.Stats(v, &k)
		s.Underflows += k.Underflows
		s.Overflows += k.Overflow
		s.Carried += k.Carried
		if k.Populated {
			s.Populated++
		}
	}
}
