package pageheap

import (
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// Regions are runs of hugepages in which large spans lie one behind another, across hugepage borders. A program
// whose buffers are a little above a multiple of a hugepage, 2.1 MiB, would otherwise leave almost half of each
// last hugepage to small spans it may not have. The first region is opened when such tails that nobody uses have
// come to tailsMost; one that empties is dissolved.
//
// In a region a tracker's used bitmap says which pages are handed out; released and zero are not used. A
// hugepage is touched from the first time a page of it is handed out until it is released while it is empty.

const (
	// tailsMost is 64 MiB (FACTS.md 13.3): a heap of small spans finds use for less.
	tailsMost = 64 << 20 >> units.PageShift
	// A region has half as many hugepages as the window, within these bounds: 128 MiB, because its end is as hard
	// to fill as a hugepage's, and 1 GiB. They are addresses until they are touched.
	regionMin, regionMax = 64, 512
	maxRegions           = 32
)

// region is one run; huge is 0 for none.
type region struct {
	first, huge uint32 // hugepages
	used        uint32 // pages handed out
	longest     uint32 // no free run is longer
}

// regions is all of them. The zero value is none. Guarded by Heap.mu.
type regions struct {
	list     [maxRegions]region
	huge     uint32 // hugepages in regions
	busy     uint32 // of these, hugepages with pages handed out
	empty    uint32 // touched hugepages without
	low      uint32 // least value of empty since Heap.Background last looked
	used     uint64 // pages handed out
	free     uint64 // other pages of touched hugepages
	patience uint64 // pages in unused tails from which on another one is opened
}

// unbacked is how many pages of regions have no memory.
func (r *regions) unbacked() uint64 { return uint64(r.huge)*uint64(perHuge) - r.used - r.free }

// regional reports whether n pages are such as regions are for.
func regional(n uint32) bool { return n > perHuge && n%perHuge != 0 && n <= regionMax*perHuge }

// takeRegional finds n pages in a region: in the shortest run that holds them, the lowest of equals, of the first
// region that has one. Caller holds mu.
func (h *Heap) takeRegional(n uint32) (g grant, ok bool) {
	for i := range h.regions.list {
		r := &h.regions.list[i]
		if r.huge == 0 || r.longest < n {
			continue
		}
		end := r.huge * perHuge
		best, at, longest := end+1, end, uint32(0)
		for pos := h.nextFree(r, 0); pos < end; {
			stop := h.nextUsed(r, pos)
			if run := stop - pos; run >= n && run < best {
				best, at = run, pos
			}
			longest = max(longest, stop-pos)
			pos = h.nextFree(r, stop)
		}
		r.longest = longest
		if at < end {
			page := units.HugePageID(r.first).Page() + units.PageID(at)
			return grant{first: page, zeroed: h.markRegion(r, at, n)}, true
		}
	}
	return grant{}, false
}

// nextFree is the first free page of r from pos on, nextUsed the first one handed out; r's end if there is none.
func (h *Heap) nextFree(r *region, pos uint32) uint32 {
	for hp := pos / perHuge; hp < r.huge; hp++ {
		t := h.filler.trackers.at(units.HugePageID(r.first + hp))
		if i := t.used.nextClear(pos - hp*perHuge); uint32(t.usedPages) < perHuge && i < perHuge {
			return hp*perHuge + i
		}
		pos = (hp + 1) * perHuge
	}
	return r.huge * perHuge
}

func (h *Heap) nextUsed(r *region, pos uint32) uint32 {
	for hp := pos / perHuge; hp < r.huge; hp++ {
		t := h.filler.trackers.at(units.HugePageID(r.first + hp))
		if t.usedPages != 0 {
			if i := t.used.nextSet(pos - hp*perHuge); i < perHuge {
				return hp*perHuge + i
			}
		}
		pos = (hp + 1) * perHuge
	}
	return r.huge * perHuge
}

// markRegion hands out n free pages of r from pos on. zeroed tells that none of their hugepages was touched.
func (h *Heap) markRegion(r *region, pos, n uint32) (zeroed bool) {
	s := &h.regions
	zeroed = true
	r.used += n
	s.used += uint64(n)
	for n > 0 {
		i := pos % perHuge
		k := min(n, perHuge-i)
		t := h.filler.trackers.at(units.HugePageID(r.first + pos/perHuge))
		switch {
		case !t.touched:
			t.touched = true
			s.free += uint64(perHuge)
			s.busy++
		case t.usedPages == 0:
			s.empty--
			s.low = min(s.low, s.empty)
			s.busy++
			zeroed = false
		default:
			zeroed = false
		}
		t.used.set(i, k)
		t.usedPages += uint16(k)
		s.free -= uint64(k)
		pos, n = pos+k, n-k
	}
	return zeroed
}

// regionAt is the region that hugepage hp belongs to, or nil.
func (h *Heap) regionAt(hp units.HugePageID) *region {
	t := h.filler.trackers.at(hp)
	if t.state != stateRegion {
		return nil
	}
	return &h.regions.list[t.index%maxRegions]
}

// putRegional takes back n pages of r from the given one on, and dissolves r if it empties. Caller holds mu.
func (h *Heap) putRegional(r *region, first units.PageID, n uint32) {
	s := &h.regions
	r.used -= n
	s.used -= uint64(n)
	s.free += uint64(n)
	for pos := uint32(first); n > 0; {
		i := pos % perHuge
		k := min(n, perHuge-i)
		t := h.filler.trackers.at(units.HugePageID(pos / perHuge))
		t.used.clear(i, k)
		if t.usedPages -= uint16(k); t.usedPages == 0 {
			s.busy--
			s.empty++
		}
		pos, n = pos+k, n-k
	}
	r.longest = r.huge * perHuge
	if r.used == 0 {
		h.dissolve(r)
	}
}

// dissolve gives the hugepages of empty region r to the cache.
func (h *Heap) dissolve(r *region) {
	s := &h.regions
	for hp := r.first; hp < r.first+r.huge; hp++ {
		t := h.filler.trackers.at(units.HugePageID(hp))
		k := kindUnbacked
		if t.touched {
			k = kindBacked
			s.empty--
			s.free -= uint64(perHuge)
		}
		*t = tracker{}
		h.cache.add(units.HugePageID(hp), 1, k)
	}
	s.low = min(s.low, s.empty)
	s.huge -= r.huge
	*r = region{}
}

// resizeRegional makes a span of r longer or shorter where it lies. Caller holds mu.
func (h *Heap) resizeRegional(r *region, first units.PageID, old, n uint32) bool {
	if n < old {
		h.putRegional(r, first+units.PageID(n), old-n)
		return true
	}
	pos := uint32(first) - r.first*perHuge
	if pos+n > r.huge*perHuge || n > regionMax*perHuge || old < n && h.nextUsed(r, pos+old) < pos+n {
		return false
	}
	h.markRegion(r, pos+old, n-old)
	return true
}

// openRegion makes another region, for requests to come. Caller holds no lock.
func (h *Heap) openRegion() {
	home := h.root()
	home.growMu.Lock()
	h.mu.Lock()
	slot := maxRegions
	for i := range h.regions.list {
		if h.regions.list[i].huge == 0 {
			slot = i
			break
		}
	}
	n := min(max(uint32(h.hugeGrown)/2, regionMin), regionMax)
	if slot < maxRegions && h.filler.tails >= h.regions.patience {
		base := uint64(h.space.Base() >> units.HugePageShift)
		first, ok := h.cache.find(n, 1, base, kindUnbacked)
		if !ok {
			h.mu.Unlock()
			h.grow(n)
			first, ok = h.cache.find(n, 1, base, kindUnbacked)
		}
		if ok {
			h.cache.take(first, n)
			h.regions.list[slot%maxRegions] = region{first: uint32(first), huge: n, longest: n * perHuge}
			h.regions.huge += n
			for hp := first; hp < first+units.HugePageID(n); hp++ {
				*h.filler.trackers.at(hp) = tracker{state: stateRegion, index: uint16(slot)}
			}
		} else {
			h.regions.patience *= 2 // no room: not at each request
		}
	}
	h.mu.Unlock()
	home.growMu.Unlock()
}

// releaseRegions releases empty hugepages of regions, from the end down.
func (h *Heap) releaseRegions(most units.Bytes) (done units.Bytes) {
	for i := range h.regions.list {
		r := &h.regions.list[i]
		below := uint32(maxHuge)
		for failures := 0; done < most && failures < maxFailures; {
			want := uint32(min((most-done-1)>>units.HugePageShift+1, releaseStep))
			first, n := h.pinRegion(r, below, want)
			if n == 0 {
				break
			}
			below = first
			size := units.Bytes(n) << units.HugePageShift
			ok := h.unpinRegion(r, first, n, vm.Release(h.space.Addr(units.HugePageID(first).Page()), size))
			if ok {
				done += size
			} else {
				failures++
			}
		}
	}
	return done
}

// pinRegion marks up to n touched, empty hugepages of r in a row, the highest below the given one, as used.
func (h *Heap) pinRegion(r *region, below, n uint32) (first, got uint32) {
	h.mu.Lock()
	first = min(below, r.first+r.huge)
	for first > r.first && got < n {
		t := h.filler.trackers.at(units.HugePageID(first - 1))
		if !t.touched || t.usedPages != 0 {
			if got != 0 {
				break
			}
			first--
			continue
		}
		t.used.set(0, perHuge)
		t.usedPages = uint16(perHuge)
		first, got = first-1, got+1
	}
	r.used += got * perHuge // so that it is not dissolved
	h.regions.empty -= got
	h.regions.low = min(h.regions.low, h.regions.empty)
	h.mu.Unlock()
	return first, got
}

// unpinRegion undoes pinRegion; released tells that the memory is gone.
func (h *Heap) unpinRegion(r *region, first, n uint32, released bool) bool {
	h.mu.Lock()
	for hp := first; hp < first+n; hp++ {
		t := h.filler.trackers.at(units.HugePageID(hp))
		t.used = bitmap{}
		t.usedPages = 0
		t.touched = !released
	}
	if released {
		h.regions.free -= uint64(n * perHuge)
		h.releasedBytes += uint64(n) << units.HugePageShift
		h.announce()
	} else {
		h.regions.empty += n
		h.madviseFailures++
	}
	h.regions.low = min(h.regions.low, h.regions.empty)
	r.longest = r.huge * perHuge
	if r.used -= n * perHuge; r.used == 0 {
		h.dissolve(r)
	}
	h.mu.Unlock()
	return released
}
