package pageheap

import (
	"math/bits"

	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Groups of hugepages in the filler, in the order in which requests try them. Donated ones come after
// regular ones: left alone, they join a long run of hugepages again when their large span dies. Released
// pages must be faulted in again, so they come last, first those hugepages that have backed free pages too.
const (
	groupRegular  = iota // no page released
	groupDonated         // holds the tail of a large span and nothing else; set 0 only
	groupPartial         // some free pages released
	groupReleased        // all free pages released
	groups
)

const (
	chunks  = 8
	indexes = units.PagesPerHuge * chunks // a hugepage with 256 free pages is not in the filler
)

// lists keeps the hugepages of one group by longest free run (ascending), then by number of allocations
// (descending): list longest*8 + chunk(allocs). Any hugepage in a list can serve what one in an earlier
// list can, and earlier ones are fuller, so a request for n pages takes the first non-empty list from n*8
// on: two bit scans. The zero value is empty. 8.3 KiB, of which a small process touches a page or two.
type lists [indexes]uint32 // hugepage number + 1, of the first

// occupied tells which of a group's lists are not empty. Those of all groups lie side by side: a request looks at every
// group before it opens a hugepage, and beside their lists each cost a small process a page fault.
type occupied struct {
	nonempty [indexes / 64]uint64 // bit i: list i is not empty
	summary  uint32               // bit i: nonempty[i] != 0
}

// from is the first non-empty list at or behind i; indexes if there is none.
func (o *occupied) from(i uint32) uint32 {
	if i >= indexes {
		return indexes
	}
	if w := o.nonempty[i>>6] >> (i & 63); w != 0 {
		return i + uint32(bits.TrailingZeros64(w))
	}
	s := o.summary &^ (2<<(i>>6) - 1) // the words behind i's
	if s == 0 {
		return indexes
	}
	word := uint32(bits.TrailingZeros32(s))
	return word<<6 + uint32(bits.TrailingZeros64(o.nonempty[word]))
}

// link puts hp, which is in no list, at the front of the list it belongs into.
func (f *filler) link(hp units.HugePageID, t *tracker) {
	t.group, t.index = t.place()
	if t.group == groupDonated {
		f.tails += uint64(t.longest)
	}
	l := &f.lists[t.set%sets][t.group&3]
	i := uint32(t.index) % indexes
	head := l[i]
	t.prev, t.next = 0, head
	if head != 0 {
		f.trackers.at(units.HugePageID(head - 1)).prev = uint32(hp) + 1
	}
	l[i] = uint32(hp) + 1
	o := &f.occupied[t.set%sets][t.group&3]
	o.nonempty[i>>6] |= 1 << (i & 63)
	o.summary |= 1 << (i >> 6)
}

// unlink takes t out of its list.
func (f *filler) unlink(t *tracker) {
	if t.group == groupDonated {
		f.tails -= uint64(t.index) / chunks // its longest run when it was linked
	}
	if t.next != 0 {
		f.trackers.at(units.HugePageID(t.next - 1)).prev = t.prev
	}
	if t.prev != 0 {
		f.trackers.at(units.HugePageID(t.prev - 1)).next = t.next
		return
	}
	l := &f.lists[t.set%sets][t.group&3]
	i := uint32(t.index) % indexes
	l[i] = t.next
	if t.next != 0 {
		return
	}
	o := &f.occupied[t.set%sets][t.group&3]
	o.nonempty[i>>6] &^= 1 << (i & 63)
	if o.nonempty[i>>6] == 0 {
		o.summary &^= 1 << (i >> 6)
	}
}

// relink moves hp to the list it belongs into after a change. One that stays keeps its position, which
// most frees and many allocations do.
func (f *filler) relink(hp units.HugePageID, t *tracker) {
	if g, i := t.place(); g != t.group || i != t.index {
		f.unlink(t)
		f.link(hp, t)
	}
}
