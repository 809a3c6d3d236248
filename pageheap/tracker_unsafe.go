package pageheap

import (
	"math/bits"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// tracker describes one hugepage in the filler (in limbo only state and next mean something). Trackers lie
// in a table indexed by hugepage number; the zero value says "not in the filler", so that the table needs
// no initialisation and a hugepage of a large span touches none of it. Two cache lines.
type tracker struct {
	used     bitmap // handed out, or pinned while they are being released
	released bitmap // free and given back to the system
	zero     bitmap // free and known to read as zero

	next, prev uint32 // neighbours in its list, as hugepage number + 1; 0 for none

	usedPages     uint16
	releasedPages uint16
	longest       uint16 // length of the longest run of pages not used
	allocs        uint16 // spans on it, tails of large spans and pins included

	index   uint16 // of its list
	group   uint8
	set     uint8
	state   uint8
	small   bool // in small pages: what nobody touched is counted as released, and releasing breaks nothing
	donated bool // its only allocation is the tail of a large span or was aligned to it
	pinned  bool // its free pages are being released
	touched bool // in a region: may have memory
}

const trackerShift = 7

const _ = uint(1<<trackerShift - unsafe.Sizeof(tracker{}))

// States of a tracker.
const (
	stateNone   = iota // the hugepage is not in the filler
	stateFiller        // spans share it
	stateLimbo         // empty and partly released; its rest is about to be released
	stateRegion        // part of a region; index says which
)

// trackers is the table of trackers.
type trackers struct{ table vm.Table }

func (ts *trackers) init(s *vm.Space) {
	ts.table = s.NewTable(uintptr(s.MaxPages()) >> units.PagesPerHugeShift << trackerShift)
}

// ensure makes the trackers of hugepages below n usable.
func (ts *trackers) ensure(s *vm.Space, n units.HugePageID) bool {
	return ts.table.Ensure(s, uintptr(n)<<trackerShift)
}

// at is the tracker of hugepage hp. Preconditions: ensured.
func (ts *trackers) at(hp units.HugePageID) *tracker {
	return (*tracker)(sys.At(ts.table.Base() + uintptr(hp)<<trackerShift))
}

// fit is where n pages, aligned to align pages, are best taken from: the shortest free run that holds them,
// the lowest of equals. perHuge means nowhere.
func (t *tracker) fit(n, align uint32) uint32 {
	best, at := perHuge+1, perHuge
	for i := t.used.nextClear(0); i < perHuge; {
		end := t.used.nextSet(i)
		a := (i + align - 1) &^ (align - 1)
		if a+n <= end && end-i < best {
			best, at = end-i, a
			if best == n {
				break
			}
		}
		i = t.used.nextClear(end)
	}
	return at
}

// mark hands out the n free pages from i on. It returns how many of them had been released and whether all
// read as zero.
func (t *tracker) mark(i, n uint32) (released uint32, zeroed bool) {
	run := t.used.nextSet(i) - t.used.afterPrevSet(i)
	t.used.set(i, n)
	t.usedPages += uint16(n)
	if t.releasedPages != 0 {
		released = t.released.count(i, n)
		t.released.clear(i, n)
		t.releasedPages -= uint16(released)
	}
	if t.zero != (bitmap{}) {
		zeroed = t.zero.all(i, n)
		t.zero.clear(i, n)
	}
	if run == uint32(t.longest) {
		t.longest = uint16(t.used.longestClear())
	}
	return released, zeroed
}

// unmark undoes mark, but for what was released or known as zero.
func (t *tracker) unmark(i, n uint32) {
	t.used.clear(i, n)
	t.usedPages -= uint16(n)
	run := t.used.nextSet(i) - t.used.afterPrevSet(i)
	t.longest = max(t.longest, uint16(run))
}

// chunk sorts hugepages of equal longest run: 7 for one allocation, one less for each doubling, 0 for more
// than 64. Spans of any size are about equally likely to be freed, so few allocations empty soonest.
func chunk(allocs uint16) uint32 {
	return chunks - 1 - min(chunks-1, uint32(bits.Len16(allocs-1)))
}

// place is the list that the tracker belongs into.
func (t *tracker) place() (group uint8, index uint16) {
	switch {
	case t.releasedPages == 0 && t.donated:
		group = groupDonated
	case t.releasedPages == 0:
		group = groupRegular
	case uint32(t.usedPages)+uint32(t.releasedPages) < perHuge:
		group = groupPartial
	default:
		group = groupReleased
	}
	return group, uint16(uint32(t.longest)*chunks + chunk(t.allocs))
}
