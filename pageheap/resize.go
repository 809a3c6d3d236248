package pageheap

import "github.com/vcmalloc/vcmalloc/internal/units"

// TryResize makes large span id n pages long where it lies: it gives the tail back, or takes the free pages
// and hugepages behind it. It reports false, with nothing changed, when these are not free or the span is
// of a size class. Preconditions: id is a live span, and the caller its only user.
func (h *Heap) TryResize(id units.SpanID, n units.Pages) bool {
	h = h.of(id)
	s := h.spans.At(id)
	if n == 0 || n > h.space.MaxPages() || s.Class != 0 {
		return false
	}
	limbo, ok := uint32(0), true
	h.mu.Lock()
	if r := h.regionAt(s.First.Huge()); r != nil {
		ok = h.resizeRegional(r, s.First, uint32(s.Pages), uint32(n))
	} else if n < s.Pages {
		limbo = h.shrink(s.First, uint32(s.Pages), uint32(n))
	} else if n > s.Pages {
		var lacking uint32
		if ok, lacking = h.extend(s.First, uint32(s.Pages), uint32(n)); lacking != 0 {
			h.mu.Unlock()
			ok = h.extendGrowing(s.First, uint32(s.Pages), uint32(n))
		}
	}
	old := s.Pages
	if ok {
		h.large += uint64(n) - uint64(old)
		h.hinted[s.Hint%Hints] += uint64(n) - uint64(old)
		s.Pages = n
		h.note()
	}
	over := ok && h.backedPages() > h.limits.soft
	h.mu.Unlock()
	if over && !h.enforce() && n > old {
		h.mu.Lock()
		h.large -= uint64(n) - uint64(old)
		h.hinted[s.Hint%Hints] -= uint64(n) - uint64(old)
		s.Pages = old
		if r := h.regionAt(s.First.Huge()); r != nil {
			h.resizeRegional(r, s.First, uint32(n), uint32(old))
		} else {
			limbo = h.shrink(s.First, uint32(n), uint32(old))
		}
		ok = false
		h.limits.refused++
		h.note()
		h.mu.Unlock()
	}
	h.releaseLimbo(limbo)
	return ok
}

// shrink gives back all but the first n of old pages. Caller holds mu.
func (h *Heap) shrink(first units.PageID, old, n uint32) (limbo uint32) {
	hp := first.Huge()
	if old < perHuge {
		return h.put(hp, uint32(first)%perHuge+n, old-n, 0, 0)
	}
	oldWhole, oldTail := old/perHuge, old%perHuge
	whole, tail := n/perHuge, n%perHuge
	if whole == oldWhole {
		end := uint16(0) // of the allocation that is the tail
		if tail == 0 {
			end = 1
		}
		return h.put(hp+units.HugePageID(whole), tail, oldTail-tail, end, 0)
	}
	if oldTail != 0 {
		limbo = h.put(hp+units.HugePageID(oldWhole), 0, oldTail, 1, 0)
	}
	if tail != 0 {
		h.filler.open(hp+units.HugePageID(whole), tail, setShort, false, h.inSmallPages(hp+units.HugePageID(whole), setShort), true)
		whole++
	}
	if whole != oldWhole {
		h.cache.add(hp+units.HugePageID(whole), oldWhole-whole, kindBacked)
	}
	return limbo
}

// extendGrowing is extend, growing the window if need be. The caller holds no lock and, when it returns, mu.
func (h *Heap) extendGrowing(first units.PageID, old, n uint32) bool {
	r := h.root()
	r.growMu.Lock()
	h.mu.Lock()
	ok, lacking := h.extend(first, old, n)
	if lacking != 0 {
		h.mu.Unlock()
		if h.grow(lacking) {
			ok, _ = h.extend(first, old, n)
		}
	}
	r.growMu.Unlock()
	return ok
}

// extend adds pages behind a span of old pages until it has n, if all of them are free. If only the window's
// end prevents it, lacking is how many hugepages the window must grow by. Caller holds mu.
func (h *Heap) extend(first units.PageID, old, n uint32) (ok bool, lacking uint32) {
	hp, off := first.Huge(), uint32(first)%perHuge
	if off != 0 {
		return h.filler.extend(hp, off+old, n-old), 0
	}
	oldWhole, oldTail := old/perHuge, old%perHuge
	whole, tail := n/perHuge, n%perHuge
	if oldTail != 0 {
		last := hp + units.HugePageID(oldWhole)
		if whole == oldWhole {
			return h.filler.extend(last, oldTail, tail-oldTail), 0
		}
		// The tail's hugepage must become wholly the span's.
		if !h.filler.alone(last) {
			return false, 0
		}
	}
	from := hp + units.HugePageID((old+perHuge-1)/perHuge)
	to := hp + units.HugePageID((n+perHuge-1)/perHuge)
	if free, lacking := h.freeRun(uint32(from), uint32(to)); !free {
		return false, lacking
	}
	if oldTail != 0 {
		h.filler.close(h.filler.trackers.at(hp + units.HugePageID(oldWhole)))
	}
	if tail != 0 {
		to--
		h.filler.open(to, tail, setShort, h.cache.take(to, 1), h.inSmallPages(to, setShort), true)
	}
	if to > from {
		h.cache.take(from, uint32(to-from))
	}
	return true, 0
}

// freeRun reports whether hugepages [from, to) are free, or would be if the window had lacking more.
func (h *Heap) freeRun(from, to uint32) (free bool, lacking uint32) {
	if to <= from {
		return true, 0
	}
	end := h.cache.end(from, kindAny)
	if top := uint32(h.window().Grown() >> units.HugePageShift); end == top && to > top {
		return false, to - top
	}
	return end >= to, 0
}
