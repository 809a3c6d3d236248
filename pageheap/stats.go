package pageheap

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/pagemap"
	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// Stats is a consistent view of a heap's pages. All but Meta are parts of the window:
// Mapped = Small + Large + FillerFree + FillerReleased + RegionFree + Cache + Unbacked, to the byte.
type Stats struct {
	Mapped         units.Bytes // handed out by the window so far
	Small          units.Bytes // in spans of a size class
	Large          units.Bytes // in large spans
	FillerFree     units.Bytes // free pages of hugepages in use, backed (or in a hugepage and never touched)
	FillerReleased units.Bytes // free pages of hugepages in use, given back (or small and never touched)
	RegionFree     units.Bytes // free pages of regions, backed
	Cache          units.Bytes // whole free hugepages, backed
	Unbacked       units.Bytes // whole free hugepages without memory, those of regions included
	Meta           units.Bytes // mapped for tables

	// Where the spans of Small and Large are (paper Fig. 5.15); what is in neither has whole hugepages.
	FillerUsed units.Bytes
	RegionUsed units.Bytes

	// Spans of Small and Large by what was said of their objects (Hint); spans without a hint are in none.
	Short, Long, Cold units.Bytes

	FillerHuge uint32 // hugepages in the filler
	RegionHuge uint32 // and in regions

	SpansAllocated  uint64 // since the heap began, as all below
	SpansFreed      uint64
	HugeGrown       uint64 // hugepages added to the window
	Released        uint64 // bytes given back to the system
	MadviseFailures uint64 // refusals of the system to take memory back
	LockContended   uint64 // acquisitions of the lock that had to wait
	SoftHits        uint64 // times memory was released because of the soft limit
	HardRefusals    uint64 // requests refused because of the hard limit
	Collapsed       uint64 // hugepages that the system put behind small pages on request
	CollapseRefused uint64 // and requests that it refused
}

// Stats fills st with the sums over all nodes.
func (h *Heap) Stats(st *Stats) {
	n := h.Nodes()
	h.Node(0).NodeStats(st)
	for i := uint32(1); i < n; i++ {
		var k Stats
		h.Node(i).NodeStats(&k)
		st.add(&k)
	}
}

// NodeStats fills st with what is the heap's own. Only the home heap has tables.
func (h *Heap) NodeStats(st *Stats) {
	h.mu.Lock()
	h.stats(st)
	h.mu.Unlock()
}

func (st *Stats) add(k *Stats) {
	st.Mapped += k.Mapped
	st.Small += k.Small
	st.Large += k.Large
	st.FillerFree += k.FillerFree
	st.FillerReleased += k.FillerReleased
	st.RegionFree += k.RegionFree
	st.Cache += k.Cache
	st.Unbacked += k.Unbacked
	st.Meta += k.Meta
	st.FillerUsed += k.FillerUsed
	st.RegionUsed += k.RegionUsed
	st.Short += k.Short
	st.Long += k.Long
	st.Cold += k.Cold
	st.FillerHuge += k.FillerHuge
	st.RegionHuge += k.RegionHuge
	st.SpansAllocated += k.SpansAllocated
	st.SpansFreed += k.SpansFreed
	st.HugeGrown += k.HugeGrown
	st.Released += k.Released
	st.MadviseFailures += k.MadviseFailures
	st.LockContended += k.LockContended
	st.SoftHits += k.SoftHits
	st.HardRefusals += k.HardRefusals
	st.Collapsed += k.Collapsed
	st.CollapseRefused += k.CollapseRefused
}

func (h *Heap) stats(st *Stats) {
	*st = Stats{
		Mapped:         units.Bytes(h.hugeGrown) << units.HugePageShift,
		Small:          units.Bytes(h.small) << units.PageShift,
		Large:          units.Bytes(h.large) << units.PageShift,
		FillerFree:     units.Bytes(h.filler.free) << units.PageShift,
		FillerReleased: units.Bytes(h.filler.released) << units.PageShift,
		Cache:          units.Bytes(h.cache.backed+h.cache.limbo) << units.HugePageShift,
		RegionFree:     units.Bytes(h.regions.free) << units.PageShift,
		Unbacked:       units.Bytes(h.cache.unbacked+h.pendingCount)<<units.HugePageShift + units.Bytes(h.regions.unbacked())<<units.PageShift,
		FillerUsed:     units.Bytes(h.filler.inUse()) << units.PageShift,
		RegionUsed:     units.Bytes(h.regions.used) << units.PageShift,
		Short:          units.Bytes(h.hinted[HintShort]) << units.PageShift,
		Long:           units.Bytes(h.hinted[HintLong]) << units.PageShift,
		Cold:           units.Bytes(h.hinted[HintCold]) << units.PageShift,
		FillerHuge:     h.filler.huge,
		RegionHuge:     h.regions.huge,

		SpansAllocated:  h.allocated,
		SpansFreed:      h.freed,
		HugeGrown:       h.hugeGrown,
		Released:        h.releasedBytes,
		MadviseFailures: h.madviseFailures,
		LockContended:   uint64(h.mu.Contended()),
		SoftHits:        h.limits.softHits,
		HardRefusals:    h.limits.refused,
		Collapsed:       atomic.LoadUint64(&h.collapse.done),
		CollapseRefused: atomic.LoadUint64(&h.collapse.refused),
	}
	if h.home == 0 {
		st.Meta = h.space.MetaBytes()
	}
}

// Accounted is the sum that equals Mapped.
func (st *Stats) Accounted() units.Bytes {
	return st.Small + st.Large + st.FillerFree + st.FillerReleased + st.RegionFree + st.Cache + st.Unbacked
}

// Span is the description of span id. Preconditions: id is a live span.
func (h *Heap) Span(id units.SpanID) *span.Span { return h.spans.At(id) }

// Addr is the address of span id's memory. Preconditions: id is a live span.
func (h *Heap) Addr(id units.SpanID) uintptr { return h.space.Addr(h.spans.At(id).First) }

// Space is the window, Pages its page map and Spans its span table, for what reads them without the lock:
// fast paths, and error paths that name a pointer.
func (h *Heap) Space() *vm.Space    { return &h.space }
func (h *Heap) Pages() *pagemap.Map { return &h.pages }
func (h *Heap) Spans() *span.Table  { return &h.spans }

// SpanOf is the live span that p points into, its interior included, or 0. It takes no lock, so that error
// paths can call it anywhere: while other threads allocate and free near p the answer may be out of date.
// It takes up to 256 steps inside a hugepage, a step for each page of a span in a region, one for each hugepage of others.
func (h *Heap) SpanOf(p uintptr) units.SpanID {
	if !h.window().Contains(p) {
		return 0
	}
	h = h.Node(h.NodeAt(p))
	page := h.space.Page(p)
	hp := page.Huge()
	if hp >= h.covered {
		return 0
	}
	switch h.filler.trackers.at(hp).state {
	case stateRegion:
		return h.spanInRegion(page)
	case stateFiller:
		for i := page + 1; i > hp.Page(); i-- {
			if id := h.pages.Span(i - 1); id != 0 {
				return h.covering(id, page)
			}
		}
		// What is left is the tail of a large span that begins in a hugepage before.
		if hp == 0 {
			return 0
		}
		hp--
	}
	for ; ; hp-- {
		if h.cache.isFree(hp, kindAny) || h.filler.trackers.at(hp).state != stateNone {
			return 0
		}
		if id := h.pages.Span(hp.Page()); id != 0 {
			return h.covering(id, page)
		}
		if hp == 0 {
			return 0
		}
	}
}

// spanInRegion is SpanOf for a page of a region. It takes a step for each page back to the span's start.
func (h *Heap) spanInRegion(page units.PageID) units.SpanID {
	for i := page; ; i-- {
		t := h.filler.trackers.at(i.Huge())
		if k := uint32(i) % perHuge; t.state != stateRegion || t.used[k>>6]>>(k&63)&1 == 0 {
			return 0
		}
		if id := h.pages.Span(i); id != 0 {
			return h.covering(id, page)
		}
		if i == 0 {
			return 0
		}
	}
}

// covering is id if page lies in that span, otherwise 0.
func (h *Heap) covering(id units.SpanID, page units.PageID) units.SpanID {
	s := h.spans.At(id)
	if units.Pages(page-s.First) >= s.Pages { // a page before the span wraps around to a large number
		return 0
	}
	return id
}
