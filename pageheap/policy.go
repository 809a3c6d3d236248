package pageheap

import (
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// This file says what earns a hugepage, and how much memory goes back to the system unasked. Pure functions over
// plain numbers.

// earnedFrom is from which hugepage of the window on, 8 MiB, spans of many objects have hugepages. They are
// touched densely, so that a hugepage behind them fills; a large object may never be touched beyond its first
// page, and waits until the heap is large (vm.Unhuged). A process that stays below pays for what it touches.
const earnedFrom = 4

// earns reports whether hugepage hp of the window, which is opened for a set, is to be asked for.
func earns(hp, set uint32) bool {
	return set == setLong && hp >= earnedFrom && hp < unhuged
}

// unhuged is how many hugepages of the window's start are mapped in small pages.
const unhuged = vm.Unhuged >> units.HugePageShift

const _ = uint(32 - unhuged) // bits of Heap.asked

// inSmallPages reports whether hugepage hp, opened for a set, is in small pages as far as the heap had a say. Caller
// holds mu.
func (h *Heap) inSmallPages(hp units.HugePageID, set uint32) bool {
	return set == setCold || hp < unhuged && h.asked>>(hp%unhuged)&1 == 0 || !h.window().HugePagesWanted()
}

// apartFrom is from how many hugepages in the filler on, 128 MiB, spans of few and of many objects have hugepages of
// their own. A second set costs a hugepage that is half full: 1.0 to 1.4 MiB in replayed traces (docs/design.md), up to 5
// % of a small heap and less than 1 % from here on. Below, a span goes to its own set first, then to the other.
const apartFrom = 64

const (
	// halfLife is the time, in nanoseconds, in which half of what stayed unused goes back: 5 s, so that 12
	// half-lives or a minute leave 1 in 4096, while a load that comes back each second keeps its memory.
	halfLife = 5e9
	// maxElapsed bounds the step when nobody called for long (a suspended machine).
	maxElapsed = 12 * halfLife
	// owedUnit is the unit in which fractions of a hugepage are remembered between calls.
	owedUnit = 1024
)

// decay is how many hugepages to release when at least low free ones stayed unused for elapsed nanoseconds.
// owed is what the last call left over, in 1/owedUnit hugepages; rest is what this one does.
func decay(low, owed uint32, elapsed int64) (n, rest uint32) {
	if low == 0 {
		return 0, 0
	}
	if elapsed <= 0 {
		return 0, owed
	}
	t := uint64(min(elapsed, maxElapsed))
	all := uint64(low) * owedUnit
	keep := all >> (t / halfLife)
	// 2^-x is close to 1 - x/2 between whole half-lives: exact at both ends, 6 % too high in the middle.
	keep -= keep * (t % halfLife) / (2 * halfLife)
	out := all - keep + uint64(owed)
	n = uint32(min(out/owedUnit, uint64(low)))
	return n, uint32(out % owedUnit)
}

// sparse is how many pages of a hugepage may be in use for Background to break it, when free pages of huge
// hugepages in use are free. Half, so that as much is given back as is kept: dense hugepages are worth more whole
// than their few free pages. But when a quarter of everything is free, load has fallen and left its spans
// everywhere, and three quarters.
func sparse(free uint64, huge uint32) uint32 {
	if free >= uint64(huge)*(units.PagesPerHuge/4) {
		return perHuge / 4 * 3
	}
	return perHuge / 2
}

// Thresholds of Pressed, in percent.
const (
	hurryUsed, alarmUsed   = 85, 95 // of a control group's limit in use
	hurryStall, alarmStall = 10, 40 // of the time some task waited for memory
)

// Pressed is how urgently memory is wanted when a control group holds used of limit bytes (0: no limit) and tasks
// stall for the given percentage of time.
func Pressed(limit, used units.Bytes, stall uint32) Urgency {
	percent := units.Bytes(0)
	if limit != 0 {
		percent = min(used, limit<<1) / (limit/100 + 1)
	}
	switch {
	case percent >= alarmUsed || stall >= alarmStall:
		return Alarm
	case percent >= hurryUsed || stall >= hurryStall:
		return Hurry
	}
	return Calm
}
