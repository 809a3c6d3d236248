package pageheap

import (
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

const (
	// releaseStep bounds one call to the system, in hugepages (64 MiB: milliseconds of page table work).
	releaseStep = 32
	// maxFailures is after how many refusals (locked memory, usually all of it) Release gives up.
	maxFailures = 8
	// scanStep bounds the trackers looked at while the lock is held: 64 KiB of them, some 10 us.
	scanStep = 512
)

// Release gives at least max bytes of free memory back to the system, or all there is, and returns how
// much: free hugepages first; if hard, then the free pages of hugepages in use too, which breaks these for
// the processor's address translation. Other nodes' memory goes after the heap's own.
func (h *Heap) Release(max units.Bytes, hard bool) (done units.Bytes) {
	n := h.Nodes()
	for i := uint32(0); i < n && done < max; i++ {
		done += h.Node((h.index+i)%n).releaseOwn(max-done, hard)
	}
	return done
}

func (h *Heap) releaseOwn(max units.Bytes, hard bool) units.Bytes {
	done := h.releaseCache(max)
	if done < max {
		done += h.releaseRegions(max - done)
	}
	if hard && done < max {
		done += h.subrelease(max-done, ranks, 1)
	}
	return done
}

// ReleaseAtLeast is Release for callers who ask again and again for a rate: what one call gave back beyond max,
// a hugepage's or a tracker's rest, is taken off the next.
func (h *Heap) ReleaseAtLeast(max units.Bytes, hard bool) units.Bytes {
	h.mu.Lock()
	credit := min(h.credit, max)
	h.credit -= credit
	h.mu.Unlock()
	if credit == max {
		return 0
	}
	done := h.Release(max-credit, hard)
	if done > max-credit {
		h.mu.Lock()
		h.credit += done - (max - credit)
		h.mu.Unlock()
	}
	return done
}

// Urgency is how much the system wants memory back.
type Urgency uint32

const (
	Calm  Urgency = iota // what is unused goes back over half a minute
	Hurry                // all that is unused goes back at once
	Alarm                // all that is free goes back, whole hugepages broken for it
)

// Background gives back part of the memory that nobody is expected to want soon, and returns how many bytes. now
// is a clock in nanoseconds. Call it about once a second; one thread at a time.
//
// Free hugepages go first: half of those that stayed unused goes back each 5 s, except what demand came back to
// in the last 5 minutes. Then hugepages at most half used are broken, for pages beyond that and beyond the
// greatest demand of the last 30 s, at the same rate.
func (h *Heap) Background(now int64, u Urgency) (done units.Bytes) {
	for i := range h.Nodes() {
		done += h.Node(i).background(now, u)
	}
	return done
}

func (h *Heap) background(now int64, u Urgency) (done units.Bytes) {
	if u == Alarm {
		return h.releaseOwn(^units.Bytes(0), true)
	}
	whole, regional, pages := h.unwanted(now, u)
	if whole != 0 {
		done = h.releaseCache(units.Bytes(whole) << units.HugePageShift)
	}
	if regional != 0 {
		done += h.releaseRegions(units.Bytes(regional) << units.HugePageShift)
	}
	if pages != 0 {
		done += h.subrelease(units.Bytes(pages)<<units.PageShift, intact+h.breakable()>>rankShift, 1)
	}
	return done
}

// unwanted is how many free hugepages, empty ones of regions, and free pages of hugepages in use are to be released
// now.
func (h *Heap) unwanted(now int64, u Urgency) (whole, regional, pages uint32) {
	h.mu.Lock()
	h.hugeDemand.advance(now)
	h.pageDemand.advance(now)
	inUse, free := h.filler.inUse(), uint32(min(h.filler.free, 1<<31))
	if u == Hurry {
		whole, regional, pages = h.cache.backed, h.regions.empty, surplus(free, inUse, 0)
	} else if h.lastBackground != 0 {
		elapsed := now - h.lastBackground
		unused := surplus(h.cache.backed+h.regions.empty, h.hugeInUse(), h.hugeDemand.recurring())
		whole, h.owed = decay(min(h.cache.low, unused), h.owed, elapsed)
		regional, h.owedRegional = decay(min(h.regions.low, unused-min(unused, h.cache.low)), h.owedRegional, elapsed)
		pages = surplus(free, inUse, max(h.pageDemand.recently(), h.pageDemand.recurring()))
		pages, h.owedPages = decay(pages, h.owedPages, elapsed)
	}
	h.lastBackground = now
	h.brief.fade()
	h.limits.stuck = false
	h.cache.low = h.cache.backed
	h.regions.low = h.regions.empty
	h.mu.Unlock()
	return whole, regional, pages
}

// breakable is how many pages of a hugepage may be in use for Background to break it.
func (h *Heap) breakable() uint32 {
	h.mu.Lock()
	n := sparse(h.filler.free+h.filler.released, h.filler.huge)
	h.mu.Unlock()
	return n
}

// hugeInUse is how many hugepages hold spans. Caller holds mu.
func (h *Heap) hugeInUse() uint32 {
	free := h.pendingCount + h.cache.backed + h.cache.unbacked + h.cache.limbo + h.regions.huge - h.regions.busy
	return uint32(h.hugeGrown) - free
}

// note takes down what is in use, after a change. Caller holds mu.
func (h *Heap) note() {
	h.hugeDemand.note(h.hugeInUse())
	h.pageDemand.note(h.filler.inUse())
	h.briefly()
	h.announce()
}

// releaseCache releases free hugepages, from the window's end down.
func (h *Heap) releaseCache(max units.Bytes) (done units.Bytes) {
	below := uint32(maxHuge)
	for failures := 0; done < max && failures < maxFailures; {
		want := uint32(min((max-done-1)>>units.HugePageShift+1, releaseStep))
		h.mu.Lock()
		first, n := h.cache.cut(below, want, h.collapse.hp)
		h.mu.Unlock()
		if n == 0 {
			break
		}
		below = uint32(first)
		if h.releaseRun(first, n, 0) {
			done += units.Bytes(n) << units.HugePageShift
		} else {
			failures++
		}
	}
	return done
}

// releaseRun releases n hugepages that are in limbo, of which the given number of pages has been released
// before, and returns them to the cache.
func (h *Heap) releaseRun(first units.HugePageID, n, before uint32) bool {
	size := units.Bytes(n) << units.HugePageShift
	ok := vm.Release(h.space.Addr(first.Page()), size)
	h.mu.Lock()
	h.cache.limbo -= n
	if ok {
		h.releasedBytes += uint64(size) - uint64(before)<<units.PageShift
		h.cache.add(first, n, kindUnbacked)
	} else {
		h.madviseFailures++
		h.cache.add(first, n, kindBacked)
	}
	h.announce()
	h.mu.Unlock()
	return ok
}

// releaseLimbo releases the hugepages of a list that Heap.settle made.
func (h *Heap) releaseLimbo(limbo uint32) {
	for limbo != 0 {
		hp := units.HugePageID(limbo - 1)
		t := h.filler.trackers.at(hp)
		limbo = t.next
		t.state = stateNone
		h.releaseRun(hp, 1, uint32(t.releasedPages))
	}
}

// Hugepages in the filler are released in the order of rank: those broken, or in small pages, before intact ones, then
// those with few used pages, which are the most likely to empty and be whole again.
const (
	rankShift = 2 // used pages that make no difference: fewer than 4
	ranks     = 2 * units.PagesPerHuge >> rankShift
	intact    = ranks / 2 // first rank of those that were never broken
)

// rank is the place of t in that order, and free what it has to release; 0 pages if nothing.
func (t *tracker) rank() (rank, free uint32) {
	if t.state != stateFiller {
		return 0, 0
	}
	rank = uint32(t.usedPages) >> rankShift
	if t.releasedPages == 0 && !t.small { // in small pages there is nothing to break
		rank += intact
	}
	return rank, perHuge - uint32(t.usedPages) - uint32(t.releasedPages)
}

// subrelease releases free pages of the filler's hugepages of a rank below end, in runs of at least the given length. One pass counts how far down the
// order max reaches; a second releases all that ranks before that, a third as much of the last rank as is needed.
func (h *Heap) subrelease(max units.Bytes, end, least uint32) (done units.Bytes) {
	last := min(h.lastRank(max), end-1)
	failures := 0
	for pass := uint32(0); pass < 2; pass++ {
		from, to := uint32(0), last
		if pass == 1 {
			from, to = last, last+1
		}
		for hp := uint32(0); done < max && failures < maxFailures; hp++ {
			var pinned bitmap
			hp = h.pinNext(hp, from, to, &pinned)
			if hp == maxHuge {
				break
			}
			got := h.releasePinned(units.HugePageID(hp), &pinned, least)
			if got == 0 && least == 1 {
				failures++
			}
			done += got
		}
	}
	return done
}

// lastRank is the rank at which hugepages of lower or equal rank have max bytes to release.
func (h *Heap) lastRank(max units.Bytes) uint32 {
	var free [ranks]uint32 // pages; a window has 2^27
	for hp, top := uint32(0), uint32(0); ; {
		h.mu.Lock()
		top = uint32(h.covered)
		for end := min(hp+scanStep, top); hp < end; hp++ {
			if h.mine(units.HugePageID(hp)) {
				r, n := h.filler.trackers.at(units.HugePageID(hp)).rank()
				free[r%ranks] += n
			}
		}
		h.mu.Unlock()
		if hp >= top {
			break
		}
	}
	sum := units.Bytes(0)
	for r := range free {
		sum += units.Bytes(free[r]) << units.PageShift
		if sum >= max {
			return uint32(r)
		}
	}
	return ranks - 1
}

// pinNext pins the first hugepage from hp on that has something to release and a rank in [from, to).
// maxHuge if there is none.
func (h *Heap) pinNext(hp, from, to uint32, pinned *bitmap) uint32 {
	for {
		h.mu.Lock()
		top := uint32(h.covered)
		for end := min(hp+scanStep, top); hp < end; hp++ {
			if !h.mine(units.HugePageID(hp)) {
				continue
			}
			r, n := h.filler.trackers.at(units.HugePageID(hp)).rank()
			if n != 0 && r >= from && r < to && hp+1 != h.collapse.hp {
				h.filler.pin(units.HugePageID(hp), pinned)
				h.mu.Unlock()
				return hp
			}
		}
		h.mu.Unlock()
		if hp >= top {
			return maxHuge
		}
	}
}

// releasePinned releases the pinned pages of hp, a call for each run of at least the given length, and unpins them.
func (h *Heap) releasePinned(hp units.HugePageID, pinned *bitmap, least uint32) units.Bytes {
	var done bitmap
	failures := uint64(0)
	for i := pinned.nextSet(0); i < perHuge; {
		end := pinned.nextClear(i)
		if end-i < least {
			i = pinned.nextSet(end)
			continue
		}
		if vm.Release(h.space.Addr(hp.Page()+units.PageID(i)), units.Bytes(end-i)<<units.PageShift) {
			done.set(i, end-i)
		} else {
			failures++
		}
		i = pinned.nextSet(end)
	}
	got := units.Bytes(done.count(0, perHuge)) << units.PageShift
	h.mu.Lock()
	h.madviseFailures += failures
	h.releasedBytes += uint64(got)
	limbo := h.settle(hp, h.filler.unpin(hp, pinned, &done), 0)
	h.announce()
	h.mu.Unlock()
	h.releaseLimbo(limbo)
	return got
}
