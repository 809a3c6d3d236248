package pageheap

import (
	"math/bits"

	"github.com/vcmalloc/vcmalloc/internal/units"
)

// perHuge is pages per hugepage in the 32 bits that positions inside a hugepage have here.
const perHuge = uint32(units.PagesPerHuge)

// bitmap has one bit for each page of a hugepage. The zero value has none set. Positions go from 0 to
// perHuge; ranges that leave the bitmap are the caller's bug and end in a bounds check.
type bitmap [units.PagesPerHuge / 64]uint64

// ones is a word with its k lowest bits set, for 1 <= k <= 64.
func ones(k uint32) uint64 { return ^uint64(0) >> (64 - k) }

func (b *bitmap) set(i, n uint32) {
	for n > 0 {
		k := min(n, 64-i&63)
		b[i>>6] |= ones(k) << (i & 63)
		i, n = i+k, n-k
	}
}

func (b *bitmap) clear(i, n uint32) {
	for n > 0 {
		k := min(n, 64-i&63)
		b[i>>6] &^= ones(k) << (i & 63)
		i, n = i+k, n-k
	}
}

// count is how many of the n bits from i on are set.
func (b *bitmap) count(i, n uint32) uint32 {
	c := 0
	for n > 0 {
		k := min(n, 64-i&63)
		c += bits.OnesCount64(b[i>>6] >> (i & 63) & ones(k))
		i, n = i+k, n-k
	}
	return uint32(c)
}

// nextSet is the first set position from i on, or perHuge.
func (b *bitmap) nextSet(i uint32) uint32 { return b.next(i, 0) }

// nextClear is the first clear position from i on, or perHuge.
func (b *bitmap) nextClear(i uint32) uint32 { return b.next(i, ^uint64(0)) }

func (b *bitmap) next(i uint32, flip uint64) uint32 {
	for i < perHuge {
		if w := (b[i>>6] ^ flip) >> (i & 63); w != 0 {
			return i + uint32(bits.TrailingZeros64(w))
		}
		i = (i | 63) + 1
	}
	return perHuge
}

// afterPrevSet is the position behind the last set bit below i, or 0.
func (b *bitmap) afterPrevSet(i uint32) uint32 {
	for i > 0 {
		k := (i-1)&63 + 1 // bits of i's word that lie below i
		if w := b[(i-1)>>6] << (64 - k); w != 0 {
			return i - uint32(bits.LeadingZeros64(w))
		}
		i -= k
	}
	return 0
}

// all reports whether each of the n bits from i on is set.
func (b *bitmap) all(i, n uint32) bool {
	for n > 0 {
		k := min(n, 64-i&63)
		if ^b[i>>6]>>(i&63)&ones(k) != 0 {
			return false
		}
		i, n = i+k, n-k
	}
	return true
}

// longestClear is the length of the longest run of clear bits.
func (b *bitmap) longestClear() uint32 {
	longest, run := uint32(0), uint32(0) // run is how many clear bits end at the word
	for _, w := range b {
		if w == 0 {
			run += 64
			continue
		}
		low, high := uint32(bits.TrailingZeros64(w)), uint32(bits.LeadingZeros64(w))
		longest = max(longest, run+low)
		run = high
		longest = longestWithin(^w&ones(64-high)>>low<<low, longest)
	}
	return max(longest, run)
}

// longestWithin is the length of the longest run of set bits in w, if it is longer than least, or least.
func longestWithin(w uint64, least uint32) uint32 {
	for have, want := uint32(1), min(least+1, 64); w != 0 && have < want; {
		step := min(have, want-have)
		w &= w >> step // now bit i is set if have + step bits from i on were
		have += step
	}
	for ; w != 0; least++ {
		w &= w >> 1
	}
	return least
}
