package percpu

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// A new layout costs a copy of the slab and first touches of new pages, and a fence (some microseconds, an interrupt on
// each busy CPU) if the thread is off the vCPU by then. So classes must have wanted outgrownMax batches that their layout had no room for, over
// relayoutMisses misses.
const (
	outgrownMax    = 32
	relayoutMisses = 256
	// A layout that is outgrown within hastyMisses, not being the vCPU's first, did not last: capacity moves between
	// classes, and each comes to its layout's end in turn. The next ones leave room, up to roomMax doublings. After
	// lastingMisses a layout with room has served for long, and the vCPU tries one with less.
	hastyMisses   = 2048
	lastingMisses = 1 << 17
	roomMax       = 2
)

// outgrow gives vCPU v a slab in which class c has room for want objects, if one can be made. The vCPU's own
// threads call it, on a miss.
func (k *Cache) outgrow(v units.VCPU, in *info, c units.ClassID, want uint32) {
	if !in.mu.TryLock() {
		return
	}
	if in.resizes > 0 && in.misses()-in.laidOut < hastyMisses {
		in.room = min(in.room+1, roomMax)
	}
	in.outgrown, in.laidOut = 0, in.misses()
	if in.slab != 0 {
		var need needs
		used := k.needs(slab(in.slab), &need)
		want = min(want, uint32(atomic.LoadInt64(&in.capacity))/sizeclass.Of(c).Size)
		want = min(want, need[c]+0xffff-firstWord-min(used, 0xffff-firstWord))
		if want > slab(in.slab).slots(c) {
			need[c] = want
			k.relayout(v, in, &need, 0)
		}
	}
	in.mu.Unlock()
}

// needs fills in what the classes of slab s have now, and returns the sum.
func (k *Cache) needs(s slab, need *needs) (total uint32) {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		need[c] = s.capacity(c)
		total += need[c]
	}
	return total
}

// relayout moves vCPU v to a slab that fits the needs, objects and capacities included. Preconditions: the caller
// holds the vCPU's lock, without which no class grows; each class needs at least its capacity.
func (k *Cache) relayout(v units.VCPU, in *info, need *needs, why want) bool {
	if !k.canStop(v, why) {
		return false
	}
	shift, place := min(fit(need)+in.room, maxShift), 1-in.place
	next := k.newSlab(v, in, shift, place, need)
	if next == 0 {
		return false
	}
	if !k.stop(v, why) {
		sys.Madvise(uintptr(next), 1<<shift, sys.MadvDontNeed)
		return false
	}
	old, was := slab(in.slab), in.shift
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		next.copyClass(c, old)
	}
	atomic.StoreUint32(&in.shift, shift)
	in.place = place
	atomic.StoreUintptr(&in.slab, uintptr(next))
	k.start(v)
	// The old slab stays mapped: a thread that read its address before may still look at a header. Its memory
	// goes back, while the lock keeps others from laying out a slab there.
	sys.Madvise(uintptr(old), 1<<was, sys.MadvDontNeed)
	in.resizes++
	return true
}

// newSlab maps a slab without objects and without capacity in the given one of the vCPU's two places.
func (k *Cache) newSlab(v units.VCPU, in *info, shift, place uint32, need *needs) slab {
	a := k.area(v, shift, place)
	bit := uint32(1) << (shift - minShift + shifts*place)
	if in.mapped&bit == 0 {
		if !k.Transfer.Central.Pages.MapMetadata(a, 1<<shift) {
			return 0
		}
		in.mapped |= bit
	}
	s := slab(a)
	if !s.begins().arrange(shift, need, units.Bytes(in.capacity)) {
		return 0
	}
	for c := units.ClassID(0); c < sizeclass.NumClasses; c++ {
		s.store(c, s.base(c))
		s.setEnd(c, s.begin(c))
	}
	return s
}
