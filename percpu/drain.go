package percpu

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// idleLooks is how many looks in a row must find a class untouched before it is drained: half a minute, at a look
// every five seconds. A drain that hits somebody who uses the class costs him a refill.
const idleLooks = 6

// discard empties class c of the slab of vCPU v into the transfer cache and takes its capacity back into the budget.
// Preconditions: the caller owns the slab.
func (k *Cache) discard(in *info, c units.ClassID) {
	s := slab(in.slab)
	bytes := int64(s.capacity(c)) * int64(sizeclass.Size(c))
	k.spill(in, c, ^uint32(0))
	s.setEnd(c, s.begin(c))
	k.giveBack(in, bytes)
}

// spill moves up to n objects of class c from the slab of a vCPU to the transfer cache of the domain that this last
// missed in: the caller may run anywhere. Preconditions: the caller owns the slab.
func (k *Cache) spill(in *info, c units.ClassID, n uint32) {
	s := slab(in.slab)
	var buf [centralfreelist.MaxBatch]uintptr
	for n > 0 {
		got := s.pop(c, buf[:], int(min(n, centralfreelist.MaxBatch)))
		if got == 0 {
			return
		}
		k.Transfer.InsertFrom(in.domain, c, buf[:got])
		n -= uint32(got)
	}
}

// Drain empties the slab of vCPU v into the transfer caches, takes its classes' capacity back into the budget and
// returns the slab's memory. It reports whether it could. The budget stays the vCPU's.
func (k *Cache) Drain(v units.VCPU) bool { return k.drain(v, wantDrain) }

func (k *Cache) drain(v units.VCPU, why want) bool {
	in := k.info(v)
	in.mu.Lock()
	ok := in.slab != 0 && k.stop(v, why)
	if ok {
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			k.discard(in, c)
		}
		in.drains++
		k.release(v, in)
	}
	in.mu.Unlock()
	return ok
}

// release gives the memory of an empty slab back; the next thread that comes to the vCPU populates it again.
// Preconditions: the caller owns the slab and holds the vCPU's lock.
func (k *Cache) release(v units.VCPU, in *info) {
	old := in.slab
	atomic.StoreUintptr(k.entry(v), k.empty)
	atomic.StoreUintptr(&in.slab, 0)
	in.outgrown, in.laidOut, in.room, in.visit = 0, in.misses(), 0, visit{}
	sys.Madvise(old, 1<<in.shift, sys.MadvDontNeed)
}

// DrainAll drains every populated vCPU.
func (k *Cache) DrainAll() {
	for v, n := units.VCPU(0), k.used(); v < n; v++ {
		if atomic.LoadUintptr(&k.info(v).slab) != 0 {
			k.Drain(v)
		}
	}
}

// DrainIdle looks at every class of every vCPU and drains what nobody has used for idleLooks calls: whole vCPUs,
// whose slabs then give their memory back, and (but for the paper's policy) single classes. A class is idle that
// has not missed and stands as it stood: one that is used without ever missing shows by what it holds, most of the
// time. Slabs much larger than their classes' capacities shrink. Call it every five seconds, from one thread.
func (k *Cache) DrainIdle() {
	if k.policy == Static {
		return
	}
	for v, n := units.VCPU(0), k.used(); v < n; v++ {
		in := k.info(v)
		if s := slab(atomic.LoadUintptr(&in.slab)); s != 0 {
			idle, all := k.look(in, s)
			switch {
			case all:
				k.drain(v, wantIdle)
			case k.policy == Demand && idle > 0:
				k.drainClasses(v, in)
			default:
				k.shrink(v, in)
			}
		}
	}
}

// look counts for each class how long it has been idle. idle is how many bytes idle classes hold.
func (k *Cache) look(in *info, s slab) (idle units.Bytes, all bool) {
	all = true
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		ci, now := &in.class[c], s.glance(c)
		if ci.busy || now != ci.seen {
			ci.busy, ci.seen, ci.quiet = false, now, 0
		} else if ci.quiet < idleLooks {
			ci.quiet++
		}
		if ci.quiet < idleLooks {
			all = false
		} else {
			idle += units.Bytes(s.length(c)) * sizeclass.Size(c)
		}
	}
	return idle, all
}

// drainClasses drains the idle classes of vCPU v.
func (k *Cache) drainClasses(v units.VCPU, in *info) {
	in.mu.Lock()
	if in.slab != 0 && k.stop(v, wantClasses) {
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			if ci := &in.class[c]; ci.quiet >= idleLooks && slab(in.slab).glance(c) == ci.seen {
				k.discard(in, c)
				ci.seen = slab(in.slab).glance(c)
			}
		}
		k.start(v)
	}
	in.mu.Unlock()
}

// shrink moves vCPU v to a smaller slab when a quarter of its own would do, with the room that it wants.
func (k *Cache) shrink(v units.VCPU, in *info) {
	if in.shift < minShift+2 || !in.mu.TryLock() {
		return
	}
	if in.slab != 0 {
		if in.room > 0 && in.misses()-in.laidOut > lastingMisses {
			in.room, in.laidOut = in.room-1, in.misses()
		}
		var need needs
		k.needs(slab(in.slab), &need)
		if fit(&need)+in.room <= in.shift-2 {
			k.relayout(v, in, &need, wantShrink)
		}
	}
	in.mu.Unlock()
}
