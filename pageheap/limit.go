package pageheap

import "github.com/vcmalloc/vcmalloc/internal/units"

// limits bound what the heap has memory behind, in pages. Pages that were handed out and never touched count:
// the heap can't tell, so it keeps below a limit rather than above.
type limits struct {
	soft, hard uint64
	stuck      bool   // the system took nothing back when last asked; until Background has run again
	softHits   uint64 // times that the soft limit was exceeded and memory released for it
	refused    uint64 // requests that the hard limit refused
}

const unlimited = ^uint64(0)

// SetLimits bounds the memory behind the heap and its tables, in bytes; 0 means no limit. Above the soft limit
// free memory goes back to the system at once, hugepages broken for it if need be; a request that would exceed
// the hard limit, with nothing left to give back, is refused. A soft limit above the hard one is lowered to it.
func (h *Heap) SetLimits(soft, hard units.Bytes) {
	l := limits{soft: unlimited, hard: unlimited}
	if hard != 0 {
		l.hard = uint64(hard) >> units.PageShift
		l.soft = l.hard
	}
	if soft != 0 {
		l.soft = min(l.soft, uint64(soft)>>units.PageShift)
	}
	r := h.root()
	r.growMu.Lock() // no heap comes meanwhile that would copy the limits as they were
	for i := range r.Nodes() {
		k := r.Node(i)
		k.mu.Lock()
		l.softHits, l.refused = k.limits.softHits, k.limits.refused
		k.limits = l
		k.announce()
		k.mu.Unlock()
	}
	r.growMu.Unlock()
	if h.OverLimit() {
		h.enforce()
	}
}

// HardLimited reports whether requests may be refused because of the hard limit.
func (h *Heap) HardLimited() bool {
	h.mu.Lock()
	limited := h.limits.hard != unlimited
	h.mu.Unlock()
	return limited
}

// SoftLimit is the limit above which free memory goes back at once, in bytes; more than there can be if there is none.
func (h *Heap) SoftLimit() units.Bytes {
	h.mu.Lock()
	pages := h.limits.soft
	h.mu.Unlock()
	return units.Bytes(min(pages, unlimited>>units.PageShift)) << units.PageShift
}

// OverLimit reports whether the heap is above its soft limit, for callers who have caches to empty.
func (h *Heap) OverLimit() bool {
	h.mu.Lock()
	over := h.backedPages() > h.limits.soft
	h.mu.Unlock()
	return over
}

// backedPages is an upper bound of the pages with memory, those of all nodes, tables included. Caller holds mu.
func (h *Heap) backedPages() uint64 {
	others, _ := h.elsewhere()
	return h.ownPages() + others + uint64(h.window().MetaBytes())>>units.PageShift
}

// ownPages is the heap's own part of that, without tables, and freePages how many of these are in no span.
func (h *Heap) ownPages() uint64 {
	without := uint64(h.pendingCount+h.cache.unbacked)*uint64(perHuge) + h.filler.released + h.regions.unbacked()
	return h.hugeGrown*uint64(perHuge) - without
}

func (h *Heap) freePages() uint64 {
	return h.filler.free + uint64(h.cache.backed+h.regions.empty)*uint64(perHuge)
}

// enforce releases what is above the soft limit, and a hundredth of it more so that the next request finds room.
// It reports whether the hard limit holds. Caller holds no lock.
func (h *Heap) enforce() bool {
	h.mu.Lock()
	l := &h.limits
	backed := h.backedPages()
	if backed <= l.soft {
		h.mu.Unlock()
		return true
	}
	_, free := h.elsewhere()
	free += h.freePages()
	if backed <= l.hard && (l.stuck || free <= l.soft/100) { // a scan of all hugepages would gain next to nothing
		h.mu.Unlock()
		return true
	}
	l.softHits++
	want := units.Bytes(backed-l.soft+l.soft/100) << units.PageShift
	need := units.Bytes(backed-l.soft) << units.PageShift
	h.mu.Unlock()
	done := h.Release(want, false)
	if done < need {
		done += h.Release(need-done, true)
	}
	h.mu.Lock()
	l.stuck = done == 0
	ok := h.backedPages() <= l.hard
	h.mu.Unlock()
	return ok
}

// undo gives back the n pages of a span that the hard limit refused, before they were touched.
func (h *Heap) undo(first units.PageID, n uint32, c units.ClassID, hint Hint) {
	h.mu.Lock()
	h.limits.refused++
	h.allocated--
	*h.inSpans(c) -= uint64(n)
	h.hinted[hint%Hints] -= uint64(n)
	limbo := h.give(first, n, 1, 0)
	h.note()
	h.mu.Unlock()
	h.releaseLimbo(limbo)
	h.enforce()
}
