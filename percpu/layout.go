package percpu

import (
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

const (
	minShift    = 14 // 16 KiB: what a small program's slab may touch at most
	maxShift    = 19 // 512 KiB: indexes of 8-byte words have 16 bits
	legacyShift = 18 // 256 KiB, the fixed slab of the legacy design
	shifts      = maxShift - minShift + 1

	// Room for 96 classes: headers of 8 bytes, ends and begins of 2.
	maxClasses = 96
	endWord    = maxClasses
	beginWord  = endWord + maxClasses/4
	firstWord  = beginWord + maxClasses/4

	wordBytes = 8
)

const _ = uint(maxClasses - sizeclass.NumClasses - 1)

// EndsAt is where the ends lie in a slab, in bytes, for fast paths that are not here.
const EndsAt = endWord * wordBytes

// begins says where each class's slots begin in a slab, and one past the last class's slots.
type begins [sizeclass.NumClasses + 1]uint16

func (b *begins) slots(c units.ClassID) uint32 {
	from, to := uint32(b[c]), uint32(b[c+1])
	return to - min(from, to)
}

// needs is how many slots each class must get in a new layout.
type needs [sizeclass.NumClasses]uint32

// weight shares out a slab's words before anything is known. More than 90 % of requests are of the smallest
// classes, and a slot of a large class is rarely paid for by the byte budget.
func weight(size uint32) uint32 {
	switch {
	case size <= 144:
		return 6
	case size <= 1024:
		return 2
	default:
		return 1
	}
}

// fit is the smallest slab with room for the needs and a quarter more; the largest, if they don't leave that.
func fit(need *needs) uint32 {
	total := uint32(0)
	for c := range need {
		total += need[c]
	}
	shift := uint32(minShift)
	for shift < maxShift && firstWord+total+total/4 > 1<<(shift-3) {
		shift++
	}
	return shift
}

// arrange lays out a slab of 1<<shift bytes: each class gets the slots it needs, and a share of the rest by its
// weight and by what it needs, but no more slots than budget bytes could ever fill. It reports false, with b
// undefined, when the needs don't fit.
func (b *begins) arrange(shift uint32, need *needs, budget units.Bytes) bool {
	total, weights := uint32(0), uint64(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		total += need[c]
		weights += uint64(need[c] + weight(sizeclass.Of(c).Size))
	}
	// One past the last slot has 16 bits: the largest slab's last word stays unused.
	words := min(uint32(1)<<(shift-3), 0xffff)
	if firstWord+total > words {
		return false
	}
	b[0] = firstWord // first: a store shows b not to be nil, where the loop would read, on a page just to be written
	spare := uint64(words - firstWord - total)
	at := uint32(firstWord)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		size := sizeclass.Of(c).Size
		n := need[c] + uint32(spare*uint64(need[c]+weight(size))/weights)
		n = max(min(n, uint32(budget)/size), need[c])
		b[c] = uint16(at)
		at += n
	}
	b[sizeclass.NumClasses] = uint16(at)
	return true
}
