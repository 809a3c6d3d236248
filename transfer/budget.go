package transfer

import "sync/atomic"

// A heap of some size lets its transfer caches have so much capacity in all, beyond the least of each class. Where the
// heap is small it is what a few classes need to pass on what they do not use themselves; in a large one, most of the
// classes' maxima.
const (
	budgetFloor    = 512 << 10
	budgetFraction = 32 // of the heap: 3 %
	budgetMost     = 32 << 20

	// shardBytes is what each domain adds when it is first used, for shards alone: with one budget for all 16 domains of
	// a simulated machine (`bench nuca-sim`), 22 % of a packed hand-off's reuses crossed instead of 7 %.
	shardBytes = 512 << 10
)

// budgetFor is the budget of a heap of so many bytes.
func budgetFor(heap uint64) uint64 { return min(budgetFloor+heap/budgetFraction, budgetMost) }

// budget is bytes of capacity that any class of any group may take, and gives back when it does not need them. Safe for
// concurrent use.
type budget struct {
	spare   uint64 // nobody has; atomic
	total   uint64 // atomic
	shards  uint64 // of the total, what domains have added; atomic
	divided uint32 // there are shards, which alone may have that and half of the rest; atomic
}

// raise grows the budget with the heap, and by what domains have added.
func (b *budget) raise(heap uintptr) {
	total := atomic.LoadUint64(&b.total)
	if more := budgetFor(uint64(heap)) + atomic.LoadUint64(&b.shards); more > total && atomic.CompareAndSwapUint64(&b.total, total, more) {
		atomic.AddUint64(&b.spare, more-total)
	}
}

// within is how many of spare bytes a group may take: the shared caches, through which all that flows from domain to
// domain passes, leave most to the shards, where it spares crossings.
func (b *budget) within(spare uint64, shared bool) uint64 {
	if shared && atomic.LoadUint32(&b.divided) != 0 {
		shards := atomic.LoadUint64(&b.shards)
		spare -= min(spare, shards+(atomic.LoadUint64(&b.total)-shards)/2)
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
