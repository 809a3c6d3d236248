package transfer

import "sync/atomic"

// A heap of some size lets its transfer caches have so much capacity in all, beyond the least of each class. Where the
// heap is small it is what a few classes need to pass on what they do not use themselves; in a large one, most of the
// classes' maxima.
const (
	budgetFloor    = 512 << 10
	budgetFraction = 32 // of the heap: 3 %
	budgetMost     = 32 << 20
)

// budgetFor is the budget of a heap of so many bytes.
func budgetFor(heap uint64) uint64 { return min(budgetFloor+heap/budgetFraction, budgetMost) }

// budget is bytes of capacity that any class of any group may take, and gives back when it does not need them. One for
// all groups: what the domains' own caches hold, the shared ones don't. Safe for concurrent use.
type budget struct {
	spare   uint64 // nobody has; atomic
	total   uint64 // atomic
	divided uint32 // there are shards, for which half of the total is kept; atomic
}

// raise grows the budget with the heap.
func (b *budget) raise(heap uintptr) {
	total := atomic.LoadUint64(&b.total)
	if more := budgetFor(uint64(heap)); more > total && atomic.CompareAndSwapUint64(&b.total, total, more) {
		atomic.AddUint64(&b.spare, more-total)
	}
}

// within is how many of spare bytes a group may take: the shared caches, through which all that flows from domain to
// domain passes, leave half of the budget to the shards, where it spares crossings.
func (b *budget) within(spare uint64, shared bool) uint64 {
	if shared && atomic.LoadUint32(&b.divided) != 0 {
		spare -= min(spare, atomic.LoadUint64(&b.total)/2)
	}
	return spare
}

// affords reports whether a group could take so many bytes.
func (b *budget) affords(bytes uint64, shared bool) bool {
	return b.within(atomic.LoadUint64(&b.spare), shared) >= bytes
}

// take takes up to the given bytes, in multiples of unit, and returns how many; none if others come at the same time.
func (b *budget) take(bytes, unit uint64, shared bool) uint64 {
	spare := atomic.LoadUint64(&b.spare)
	bytes = min(bytes, b.within(spare, shared)) / unit * unit
	if bytes == 0 || !atomic.CompareAndSwapUint64(&b.spare, spare, spare-bytes) {
		return 0
	}
	return bytes
}

func (b *budget) give(bytes uint64) { atomic.AddUint64(&b.spare, bytes) }
