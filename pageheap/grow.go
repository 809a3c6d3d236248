package pageheap

import "github.com/vcmalloc/vcmalloc/internal/units"

// The window grows under growMu, and the system is asked for memory under no other lock: whoever finds room in
// what there is goes on meanwhile.

// growTries: growing may end behind a gap, so what completes the run at the window's end may not complete one
// there, and a third look is for hugepages that were pending.
const growTries = 3

// takeGrowing is take, growing the window if need be. The caller holds no lock and, when it returns, mu.
func (h *Heap) takeGrowing(n, align, set uint32) grant {
	r := h.root()
	r.growMu.Lock()
	h.mu.Lock()
	g := h.take(n, align, set) // others may have grown the window, or freed, meanwhile
	for try := uint32(0); try < growTries && g.first == units.NoPage; try++ {
		want := h.shortage(n, align, try)
		h.mu.Unlock()
		grown := want <= maxHuge && h.grow(uint32(want))
		if want > maxHuge {
			h.mu.Lock()
		}
		if !grown {
			break
		}
		g = h.take(n, align, set)
	}
	r.growMu.Unlock()
	return g
}

// shortage is how many hugepages the window lacks for n pages aligned to align pages: those that complete the
// run at its end or, if that did not do, whatever alignment may cost. Caller holds mu and growMu.
func (h *Heap) shortage(n, align, try uint32) uint64 {
	if n < perHuge && align < perHuge {
		return 1
	}
	huge, align := (n+perHuge-1)/perHuge, max(align/perHuge, 1)
	if try > 1 {
		return uint64(huge) + uint64(align) - 1
	}
	base := uint64(h.space.Base() >> units.HugePageShift)
	top := uint32(h.window().Grown() >> units.HugePageShift)
	start := top - h.cache.before(top, huge+align, kindAny)
	return uint64(alignHuge(start, align, base)) + uint64(huge) - uint64(top)
}

// grow adds n hugepages to the window and to the cache, or those that are pending. When it fails the cache is
// as it was. Caller holds growMu and, when it returns, mu too, so that nobody else takes what was added.
func (h *Heap) grow(n uint32) bool {
	first, count := h.pendingFirst, h.pendingCount
	mapped := uint32(0)
	ok := true
	if count == 0 {
		// First the metadata, then the window: a failure leaves nothing to undo. Only behind a gap, which
		// the window reports when it has grown, does more metadata turn out to be needed.
		want := h.extent(n)
		first, ok = h.growBy(want)
		if !ok && want != n {
			want = n
			first, ok = h.growBy(n)
		}
		if ok {
			count, mapped = want, want
			h.claim(first, want)
		}
	}
	described := ok && h.root().describe(first+units.HugePageID(count))
	h.mu.Lock()
	h.hugeGrown += uint64(mapped)
	switch {
	case described:
		h.covered = max(h.covered, first+units.HugePageID(count))
		h.cache.add(first, count, kindUnbacked)
		h.pendingCount = 0
	case ok:
		h.pendingFirst, h.pendingCount = first, count
	}
	return described
}

// growBy adds n hugepages to the window. Caller holds growMu.
func (h *Heap) growBy(n uint32) (first units.HugePageID, ok bool) {
	r := h.root()
	top := units.HugePageID(r.space.Grown() >> units.HugePageShift)
	size := units.Bytes(n) << units.HugePageShift
	if size > h.maxBytes || r.space.MappedBytes() > h.maxBytes-size || !r.describe(top+units.HugePageID(n)) {
		return units.NoHuge, false
	}
	return r.space.Grow(uintptr(n))
}

// describe makes the metadata of hugepages below n usable. Caller holds growMu, and h is the home heap.
func (h *Heap) describe(n units.HugePageID) bool {
	return n <= maxHuge && h.pages.Ensure(&h.space, units.Pages(n.Page())) && h.filler.trackers.ensure(&h.space, n)
}
