package pageheap

import (
	"math/bits"

	"github.com/vcmalloc/vcmalloc/internal/units"
)

// kind selects free hugepages by whether memory is behind them.
type kind uint8

const (
	kindBacked   kind = 1
	kindUnbacked kind = 2
	kindAny           = kindBacked | kindUnbacked
)

// maxHuge is how many hugepages the largest window has (1 TiB).
const maxHuge = 1 << 19

// pair is 64 hugepages: which are free and backed, and which free and unbacked. Side by side, because a
// mixed run asks for both; so the first 32 GiB of a window touch one system page of bitmap.
type pair struct{ backed, unbacked uint64 }

func (p *pair) of(k kind) uint64 {
	w := uint64(0)
	if k&kindBacked != 0 {
		w = p.backed
	}
	if k&kindUnbacked != 0 {
		w |= p.unbacked
	}
	return w
}

// cache holds the whole free hugepages of a window. Adjacent runs merge by nature. The bitmaps of a full
// window are 128 KiB of which a small process touches 8: static, they cost no system call, while a table
// costs two at start. A summary bit says that a word is not zero, so a scan of 1 TiB with nothing free
// reads 128 words. A scan ends at top: to the end of the window it took half the time of objects of 4 MiB in a heap
// that has a few hundred. The zero value is empty. Guarded by Heap.mu.
type cache struct {
	words    [maxHuge / 64]pair
	summary  [maxHuge / 64 / 64]pair
	top      uint32 // no hugepage from here on was ever in the cache: a scan ends here
	backed   uint32 // hugepages
	unbacked uint32
	limbo    uint32 // hugepages in no bitmap while they are being released
	low      uint32 // least value of backed since Heap.Background last looked
	refilled uint64 // unbacked hugepages that were taken, since the beginning
}

// candidates is how many runs that fit find compares before it takes the best so far.
const candidates = 64

func (c *cache) count(k kind) uint32 {
	n := uint32(0)
	if k&kindBacked != 0 {
		n = c.backed
	}
	if k&kindUnbacked != 0 {
		n += c.unbacked
	}
	return n
}

func (c *cache) isFree(hp units.HugePageID, k kind) bool {
	return c.words[hp>>6].of(k)>>(hp&63)&1 != 0
}

// add makes n hugepages free. Preconditions: they are not.
func (c *cache) add(first units.HugePageID, n uint32, k kind) {
	for h := uint32(first); h < uint32(first)+n; {
		m := min(64-h&63, uint32(first)+n-h)
		mask := ones(m) << (h & 63)
		w, s, bit := &c.words[h>>6], &c.summary[h>>12], uint64(1)<<(h>>6&63)
		if k == kindBacked {
			w.backed |= mask
			s.backed |= bit
		} else {
			w.unbacked |= mask
			s.unbacked |= bit
		}
		h += m
	}
	c.top = max(c.top, uint32(first)+n)
	if k == kindBacked {
		c.backed += n
	} else {
		c.unbacked += n
	}
}

// take makes n free hugepages not free and reports whether all were unbacked.
func (c *cache) take(first units.HugePageID, n uint32) (fresh bool) {
	was := c.backed
	for h := uint32(first); h < uint32(first)+n; {
		m := min(64-h&63, uint32(first)+n-h)
		mask := ones(m) << (h & 63)
		w, s, bit := &c.words[h>>6], &c.summary[h>>12], uint64(1)<<(h>>6&63)
		got := m // backed ones; seldom a mixture
		if w.backed&mask != mask {
			got = uint32(bits.OnesCount64(w.backed & mask))
		}
		c.backed -= got
		c.unbacked -= m - got
		if w.backed &^= mask; w.backed == 0 {
			s.backed &^= bit
		}
		if w.unbacked &^= mask; w.unbacked == 0 {
			s.unbacked &^= bit
		}
		h += m
	}
	c.low = min(c.low, c.backed)
	c.refilled += uint64(n - (was - c.backed))
	return was == c.backed
}

// next is the first free hugepage of the kind from h on; maxHuge if there is none.
func (c *cache) next(h uint32, k kind) uint32 {
	top := min(c.top, maxHuge)
	if h >= top {
		return maxHuge
	}
	if w := c.words[h>>6].of(k) >> (h & 63); w != 0 {
		return h + uint32(bits.TrailingZeros64(w))
	}
	for i := h>>6 + 1; i<<6 < top; {
		if s := c.summary[i>>6].of(k) >> (i & 63); s != 0 {
			i += uint32(bits.TrailingZeros64(s))
			return i<<6 + uint32(bits.TrailingZeros64(c.words[i].of(k)))
		}
		i = (i | 63) + 1
	}
	return maxHuge
}

// end is the first hugepage from h on that is not free of the kind.
func (c *cache) end(h uint32, k kind) uint32 {
	for h < maxHuge {
		if w := ^c.words[h>>6].of(k) >> (h & 63); w != 0 {
			return h + uint32(bits.TrailingZeros64(w))
		}
		h = (h | 63) + 1
	}
	return maxHuge
}

// before is the length of the run of free hugepages of the kind that ends before h, at most limit.
func (c *cache) before(h, limit uint32, k kind) uint32 {
	n := uint32(0)
	for h > n && n < limit {
		last := h - n - 1
		below := last&63 + 1 // hugepages of last's word up to last
		w := ^c.words[last>>6].of(k) << (64 - below)
		run := min(uint32(bits.LeadingZeros64(w)), below)
		n += run
		if run < below {
			break
		}
	}
	return min(n, limit)
}

// find is the start of n free hugepages of the kind whose address is a multiple of align hugepages: in the
// shortest run that holds them, the lowest of equals. base is the hugepage number of the window's address.
// Preconditions: align is a power of two.
func (c *cache) find(n, align uint32, base uint64, k kind) (first units.HugePageID, ok bool) {
	if n > c.count(k) {
		return units.NoHuge, false
	}
	best, seen := uint32(maxHuge+1), 0
	for h := c.next(0, k); h < maxHuge && seen < candidates; {
		end := c.end(h, k)
		if a := alignHuge(h, align, base); end-h < best && uint64(a)+uint64(n) <= uint64(end) {
			best, first, seen = end-h, units.HugePageID(a), seen+1
			if best == n {
				break
			}
		}
		h = c.next(end, k)
	}
	return first, best <= maxHuge
}

// alignHuge is the first hugepage from h on whose address is a multiple of align hugepages.
func alignHuge(h, align uint32, base uint64) uint32 {
	a := uint64(align)
	return uint32((base+uint64(h)+a-1)&^(a-1) - base)
}

// cut takes up to n backed hugepages in a row, the highest below the given one, into limbo, but not the one whose
// number + 1 is held. Allocation prefers low addresses, so those on top are the least likely to be wanted soon.
func (c *cache) cut(below, n, held uint32) (first units.HugePageID, got uint32) {
	last := c.lastBacked(below)
	if last+1 == held {
		last = c.lastBacked(last)
	}
	if last == maxHuge {
		return units.NoHuge, 0
	}
	got = c.before(last+1, n, kindBacked)
	start := last + 1 - got
	if held > start && held <= last {
		start = held
		got = last + 1 - held
	}
	first = units.HugePageID(start)
	c.take(first, got)
	c.limbo += got
	return first, got
}

// lastBacked is the highest backed free hugepage below h; maxHuge if there is none.
func (c *cache) lastBacked(h uint32) uint32 {
	if h == 0 {
		return maxHuge
	}
	i := (h - 1) >> 6
	if w := c.words[i].backed << (63 - (h-1)&63); w != 0 {
		return h - 1 - uint32(bits.LeadingZeros64(w))
	}
	for i > 0 {
		k := (i-1)&63 + 1
		if s := c.summary[(i-1)>>6].backed << (64 - k); s != 0 {
			i -= 1 + uint32(bits.LeadingZeros64(s))
			return i<<6 + 63 - uint32(bits.LeadingZeros64(c.words[i].backed))
		}
		i -= k
	}
	return maxHuge
}
