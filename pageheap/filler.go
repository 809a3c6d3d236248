package pageheap

import "github.com/vcmalloc/vcmalloc/internal/units"

// Sets of hugepages in the filler (paper section 5.4.4): spans of few objects die early, those of many live
// long. Kept apart, the hugepages of the first set empty, those of the second stay full; from apartFrom hugepages on this
// is strict. Callers who know better say so by a Hint; what they call cold has a set, and small pages, of its own (paper
// section 5.5).
const (
	setShort = iota // spans of at most fewObjects objects, large spans, tails of large spans
	setLong
	setCold
	sets

	// firm is added to a set that a caller asked for: the hint counts however small the heap is.
	firm = 1 << 7
	// roomy is added to the set of a span that is likely to grow: it lies where there is room behind it.
	roomy = 1 << 6
)

// Hint is what a caller knows of the future of a span's objects. It chooses the set of hugepages.
type Hint uint8

const (
	HintNone  Hint = iota
	HintShort      // freed soon
	HintLong       // kept for long
	HintCold       // rarely touched: not worth a hugepage, and its neighbours' free pages go back first

	Hints = 4 // how many there are
)

// set of hugepages for a hint.
func (k Hint) set() uint32 {
	switch k {
	case HintShort:
		return setShort | firm
	case HintLong:
		return setLong | firm
	case HintCold:
		return setCold
	}
	return setShort
}

// fewObjects is the capacity up to which a span counts as short-lived (paper section 5.4.4).
const fewObjects = 16

// filler packs spans of less than a hugepage, and the tails of larger ones, into hugepages. The zero value
// is an empty filler; trackers must be ensured for each hugepage it is given. Guarded by Heap.mu.
type filler struct {
	trackers trackers
	lists    [sets][groups]lists
	occupied [sets][groups]occupied
	free     uint64 // pages free and backed, pinned ones included
	released uint64 // pages free and given back, or in small pages and never touched
	refilled uint64 // released pages that were handed out, since the beginning
	huge     uint32 // hugepages
	tails    uint64 // pages behind the tails of large spans that nobody used yet
}

// get takes n pages aligned to align pages from a hugepage of the set. zeroed tells that they read as zero.
// Preconditions: align is a power of two, both are less than a hugepage.
func (f *filler) get(n, align, set uint32) (first units.PageID, zeroed, ok bool) {
	hp, at := f.find(n, align, set)
	if at == perHuge {
		return units.NoPage, false, false
	}
	return hp.Page() + units.PageID(at), f.hand(hp, at, n, 1), true
}

// getRoomy is get, without an alignment, of pages behind which there is room to grow.
func (f *filler) getRoomy(n, set uint32) (first units.PageID, zeroed, ok bool) {
	hp, at := f.find(max(min(n*growth, perHuge/2), n), 1, set)
	if at == perHuge {
		return units.NoPage, false, false
	}
	return hp.Page() + units.PageID(at), f.hand(hp, at, n, 1), true
}

// packed reports whether few of the filler's pages are free: a sixteenth of those in use, and a hugepage. Room taken
// regardless of that leaves holes that nobody fills: with 2000 buffers that grow side by side the peak was 466 MiB instead
// of 265.
func (f *filler) packed() bool {
	return uint32(f.free+f.released) <= f.inUse()/16+perHuge
}

// growth is by how much a span that grows is expected to: a buffer that is reallocated by halves is copied once in
// four times then.
const growth = 4

// getRow takes up to count allocations of n pages each, one behind the other, from where get would take the first, and
// returns how many; 0 for none. zeroed tells of each that it reads as zero; they are alike in that. Preconditions: n is
// less than a hugepage, count > 0.
func (f *filler) getRow(n, count, set uint32) (first units.PageID, got uint32, zeroed bool) {
	hp, at := f.find(n, 1, set)
	if at == perHuge {
		return units.NoPage, 0, false
	}
	t := f.trackers.at(hp)
	end := t.used.nextSet(at)
	if clear := t.zero.nextClear(at); clear-at >= n {
		end = min(end, clear)
	} else if next := t.zero.nextSet(clear); next < end { // the last one may begin before pages that read as zero
		end = min(end, next+n-1)
	}
	got = min(count, (end-at)/n)
	return hp.Page() + units.PageID(at), got, f.hand(hp, at, got*n, uint16(got))
}

// find is the hugepage of a set from which n pages are best taken, and where on it; perHuge for nowhere.
func (f *filler) find(n, align, set uint32) (hp units.HugePageID, at uint32) {
	need := n + align - 1 // a run of this length holds them wherever it begins
	if need >= perHuge {
		return 0, perHuge
	}
	for g := range uint32(groups) {
		if i := f.occupied[set%sets][g].from(need * chunks); i != indexes {
			hp = units.HugePageID(f.lists[set%sets][g][i%indexes] - 1)
			return hp, f.trackers.at(hp).fit(n, align)
		}
	}
	return 0, perHuge
}

// hand hands n free pages of hp out, from page at on, as so many allocations.
func (f *filler) hand(hp units.HugePageID, at, n uint32, allocs uint16) (zeroed bool) {
	t := f.trackers.at(hp)
	zeroed = f.take(t, at, n)
	t.allocs += allocs
	t.donated = false // used by others now: a hugepage like any other
	f.relink(hp, t)
	return zeroed
}

// inUse is how many pages are handed out.
func (f *filler) inUse() uint32 { return uint32(uint64(f.huge)*uint64(perHuge) - f.free - f.released) }

// take marks free pages as used and counts them; the caller relinks.
func (f *filler) take(t *tracker, i, n uint32) (zeroed bool) {
	released, zeroed := t.mark(i, n)
	f.released -= uint64(released)
	f.refilled += uint64(released)
	f.free -= uint64(n - released)
	return zeroed
}

// open gives the filler hugepage hp, whose first n pages are handed out as one allocation. fresh tells that
// it reads as zero, small that it is in small pages, donated that the allocation is not the filler's own choice.
// Preconditions: 0 < n < 256.
func (f *filler) open(hp units.HugePageID, n, set uint32, fresh, small, donated bool) {
	t := f.trackers.at(hp)
	*t = tracker{
		usedPages: uint16(n), longest: uint16(perHuge - n), allocs: 1,
		set: uint8(set), state: stateFiller, small: small, donated: donated,
	}
	t.used.set(0, n)
	if fresh {
		t.zero.set(n, perHuge-n)
	}
	if fresh && small {
		t.released, t.releasedPages = t.zero, uint16(perHuge-n)
	}
	f.huge++
	f.released += uint64(t.releasedPages)
	f.free += uint64(perHuge - n - uint32(t.releasedPages))
	f.link(hp, t)
}

// outcome is what became of a hugepage.
type outcome uint8

const (
	kept     outcome = iota // it is still in the filler
	backed                  // emptied: a whole hugepage
	unbacked                // emptied, and every page of it released
	broken                  // emptied, some pages of it released: stateLimbo until the rest is
)

// put takes back n pages from i on of hp, which hold allocs whole allocations (1, or 0 for a part of one).
// A hugepage that empties leaves the filler.
func (f *filler) put(hp units.HugePageID, i, n uint32, allocs uint16) outcome {
	t := f.trackers.at(hp)
	t.unmark(i, n)
	t.allocs -= allocs
	f.free += uint64(n)
	return f.settle(hp, t)
}

// settle puts hp where it belongs after pages of it became free.
func (f *filler) settle(hp units.HugePageID, t *tracker) outcome {
	if t.usedPages != 0 {
		f.relink(hp, t)
		return kept
	}
	released, small := uint32(t.releasedPages), t.small
	f.close(t)
	switch {
	case released == perHuge:
		return unbacked
	case released == 0 || small: // small pages are never whole: what they have is as good as all
		return backed
	}
	t.state = stateLimbo
	return broken
}

// made notes that the system has put a hugepage behind hp, and so behind each of its pages.
func (f *filler) made(hp units.HugePageID, t *tracker) {
	f.free += uint64(t.releasedPages)
	f.released -= uint64(t.releasedPages)
	t.released, t.releasedPages, t.small = bitmap{}, 0, false
	f.relink(hp, t)
}

// close takes a hugepage out of the filler, with whatever allocation is on it.
func (f *filler) close(t *tracker) {
	f.unlink(t)
	f.released -= uint64(t.releasedPages)
	f.free -= uint64(perHuge) - uint64(t.usedPages) - uint64(t.releasedPages)
	f.huge--
	t.state = stateNone
}

// extend makes the allocation that ends before page i of hp n pages longer, if these are free.
func (f *filler) extend(hp units.HugePageID, i, n uint32) bool {
	t := f.trackers.at(hp)
	if i+n > perHuge || t.used.count(i, n) != 0 {
		return false
	}
	f.take(t, i, n)
	f.relink(hp, t)
	return true
}

// alone reports whether the allocation at the start of hp is the only one on it.
func (f *filler) alone(hp units.HugePageID) bool { return f.trackers.at(hp).allocs == 1 }

// pin marks all pages of hp that are free and backed as used, so that they can be released without the
// lock; they still count as free. It reports which they are. unpin must follow.
func (f *filler) pin(hp units.HugePageID, pinned *bitmap) {
	t := f.trackers.at(hp)
	for w := range pinned {
		pinned[w] = ^(t.used[w] | t.released[w])
		t.used[w] |= pinned[w]
	}
	t.usedPages += uint16(pinned.count(0, perHuge))
	t.pinned = true
	t.allocs++
	t.longest = uint16(t.used.longestClear())
	f.relink(hp, t)
}

// unpin undoes pin; the pages of done have been released meanwhile.
func (f *filler) unpin(hp units.HugePageID, pinned, done *bitmap) outcome {
	t := f.trackers.at(hp)
	for w := range pinned {
		t.used[w] &^= pinned[w]
		t.released[w] |= done[w]
		t.zero[w] |= done[w]
	}
	n := done.count(0, perHuge)
	t.usedPages -= uint16(pinned.count(0, perHuge))
	t.releasedPages += uint16(n)
	t.pinned = false
	t.allocs--
	t.longest = uint16(t.used.longestClear())
	f.free -= uint64(n)
	f.released += uint64(n)
	return f.settle(hp, t)
}
