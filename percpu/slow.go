package percpu

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Alloc returns an object of class c, or 0 when memory is short. It is where a fast path ends that found
// its class empty, and the whole path where there is none. Preconditions: c != 0.
func (k *Cache) Alloc(c units.ClassID) uintptr {
	v := k.current()
	if v < 0 || k.stopped(v) && !k.ready(v) {
		return k.single(c)
	}
	return k.allocOn(v, c)
}

func (k *Cache) allocOn(v units.VCPU, c units.ClassID) uintptr {
	// The fast path may have found the class empty because the slab was stopped, or on another vCPU.
	if s := slab(atomic.LoadUintptr(&k.info(v).slab)); s == 0 || !s.load(c).empty() {
		if p := k.pop(v, c); p != 0 {
			return p
		}
	}
	return k.refill(v, c)
}

// ready populates vCPU v if that is why its slab can't be used.
func (k *Cache) ready(v units.VCPU) bool {
	return atomic.LoadUintptr(&k.info(v).slab) == 0 && k.populate(v)
}

// single serves a caller without a slab: exactly one object, so that nothing piles up on its stack.
func (k *Cache) single(c units.ClassID) uintptr {
	var one [1]uintptr
	if k.Transfer.Remove(c, one[:], 1) == 0 {
		return 0
	}
	return one[0]
}

// rounds bounds how many transfers one miss makes: 256 objects, some microseconds.
const rounds = 4

func (k *Cache) refill(v units.VCPU, c units.ClassID) (p uintptr) {
	in := k.info(v)
	in.underflows++
	k.follow(v, in)
	want := int(k.adapt(v, in, c, false))
	var buf [centralfreelist.MaxBatch]uintptr
	for round := 0; round < rounds && want > 0; round++ {
		got := k.Transfer.Remove(c, buf[:], min(want, len(buf)))
		if got == 0 {
			break
		}
		rest := buf[:got]
		if p == 0 {
			p, rest = buf[0], buf[1:got]
		}
		if n := k.push(v, c, rest); n < len(rest) { // moved to another CPU, or the slab was stopped meanwhile
			k.Transfer.Insert(c, rest[n:])
			break
		}
		want -= got
	}
	return p
}

// Free takes object p of class c back. It returns a pointer that turned out not to be an object handed out
// (p or one freed before it), or 0.
func (k *Cache) Free(c units.ClassID, p uintptr) (bad uintptr) {
	v := k.current()
	if v < 0 || k.stopped(v) && !k.ready(v) {
		return k.freeSingle(c, p)
	}
	return k.freeOn(v, c, p)
}

// freeSingle takes an object back from a caller without a slab.
func (k *Cache) freeSingle(c units.ClassID, p uintptr) (bad uintptr) {
	var one [1]uintptr
	one[0] = p
	return k.Transfer.Insert(c, one[:])
}

func (k *Cache) freeOn(v units.VCPU, c units.ClassID, p uintptr) (bad uintptr) {
	in := k.info(v)
	var buf [centralfreelist.MaxBatch]uintptr
	buf[0] = p
	// As in allocOn.
	if s := slab(atomic.LoadUintptr(&in.slab)); s != 0 && s.unused(c) > 0 && k.push(v, c, buf[:1]) == 1 {
		return 0
	}
	in.overflows++
	k.follow(v, in)
	want := int(k.adapt(v, in, c, true))
	n := 1
	for round := 0; round < rounds; round++ {
		n += k.popN(v, c, buf[n:], min(want, len(buf))-n)
		if b := k.Transfer.Insert(c, buf[:n]); b != 0 {
			bad = b
		}
		in.class[c].spilled += uint32(n)
		if want -= n; n < len(buf) || want == 0 {
			break
		}
		n = 0
	}
	return bad
}

// adapt lets class c of vCPU v grow as its miss deserves and returns how many objects to move.
func (k *Cache) adapt(v units.VCPU, in *info, c units.ClassID, overflow bool) uint32 {
	ci := &in.class[c]
	now := uint32(in.misses())
	ci.gap = smoothGap(ci.gap, now-ci.last)
	ci.last, ci.busy = now, true
	s := slab(atomic.LoadUintptr(&in.slab))
	if s == 0 { // released this moment
		return 1
	}
	batch, size, capacity := sizeclass.Batch(c), sizeclass.Of(c).Size, s.capacity(c)
	spilled := ci.spilled
	if k.policy == Static {
		spilled = 0
	}
	n := growth(ci.history, overflow, capacity, batch, spilled, size)
	if limit := s.slots(c); capacity+n > limit {
		k.cramped(v, in, c, limit, capacity+n)
		// The slab may be another one now.
		if s = slab(atomic.LoadUintptr(&in.slab)); s != 0 {
			limit = s.slots(c)
		}
		n = min(n, limit-min(capacity, limit))
	}
	if n > 0 {
		capacity += k.grow(v, in, c, n)
	}
	if !overflow || !ci.history.wasOverflow() {
		ci.spilled = 0
	}
	ci.history = ci.history.after(overflow)
	return target(ci.history, capacity, batch)
}

// cramped notes that class c wanted more slots than its layout's limit, and lays the slab out anew when that has
// happened often enough.
func (k *Cache) cramped(v units.VCPU, in *info, c units.ClassID, limit, want uint32) {
	size, batch := sizeclass.Of(c).Size, sizeclass.Batch(c)
	if k.policy == Static || int64(limit+1)*int64(size) > atomic.LoadInt64(&in.capacity) {
		return
	}
	in.outgrown += 1 + (want-limit)/batch
	if in.outgrown >= outgrownMax && in.misses()-in.laidOut >= relayoutMisses {
		k.outgrow(v, in, c, max(want, 2*batch))
	}
}

// grow raises the capacity of class c by up to n objects, paid for from the vCPU's budget or by its other
// classes, and returns by how many. The vCPU's lock keeps the layout as it is meanwhile; who finds it held does
// without.
func (k *Cache) grow(v units.VCPU, in *info, c units.ClassID, n uint32) uint32 {
	size := int64(sizeclass.Size(c))
	want := int64(n) * size
	got := k.take(in, want)
	if got < want {
		k.steal(v, in, c, want-got)
		got += k.take(in, want-got)
		in.refused += want - got
	}
	n = 0
	if k.locked() {
		in.mu.Lock()
		n = k.extend(in, c, uint32(got/size))
		in.mu.Unlock()
	} else if in.mu.TryLock() {
		n = k.extend(in, c, uint32(got/size))
		in.mu.Unlock()
	}
	k.giveBack(in, got-int64(n)*size)
	return n
}

// extend raises the capacity of class c by up to n objects, as far as the layout goes. The end may change under
// it: then it does nothing. Preconditions: the caller holds the vCPU's lock.
func (k *Cache) extend(in *info, c units.ClassID, n uint32) uint32 {
	s := slab(in.slab)
	if s == 0 || n == 0 {
		return 0
	}
	end := s.end(c)
	n = min(n, s.begin(c)+s.slots(c)-end)
	if n == 0 {
		return 0
	}
	if k.locked() {
		s.setEnd(c, end+n)
	} else if !k.swapOwn(s, c, end, end+n) {
		return 0
	}
	return n
}

// take removes up to n bytes from the budget of a vCPU.
func (k *Cache) take(in *info, n int64) int64 {
	for {
		have := atomic.LoadInt64(&in.available)
		n = min(n, have)
		if n <= 0 {
			return 0
		}
		if atomic.CompareAndSwapInt64(&in.available, have, have-n) {
			return n
		}
	}
}

func (k *Cache) giveBack(in *info, n int64) {
	if n != 0 {
		atomic.AddInt64(&in.available, n)
	}
}

const (
	// evictions bounds how many classes one miss may evict objects from: each costs a transfer-cache call.
	evictions = 4
	// looks bounds how many classes one miss looks at to find capacity. A budget that is well shared out has none to
	// find, and each miss looks in vain: 16 looks were half the time of the whole package beside 10,000 objects of
	// mixed sizes on a tight budget, and found no more in the end than 4.
	looks = 4
)

// ease is that of class c, whose vCPU has missed now times, with the given capacity.
func (in *info) ease(c units.ClassID, now, capacity uint32) uint64 {
	ci := &in.class[c]
	return ease(ci.gap, now-ci.last, units.Bytes(capacity)*sizeclass.Size(c))
}

// steal frees up to n bytes of budget for a class by shrinking others of the same vCPU that miss less for what they
// have (policy.go): unused capacity first, then objects. Who loses gives its whole share: what is left of that over n
// spares the next misses a search.
func (k *Cache) steal(v units.VCPU, in *info, taker units.ClassID, n int64) {
	s := slab(atomic.LoadUintptr(&in.slab))
	if s == 0 {
		return
	}
	now := uint32(in.misses())
	mine := in.ease(taker, now, s.capacity(taker))
	evicted := 0
	for i := 0; i < looks && n > 0; i++ {
		in.hand = in.hand%(sizeclass.NumClasses-1) + 1 // never 0: where s is stale its capacities may be anything
		c := units.ClassID(in.hand)
		end, capacity := s.end(c), s.capacity(c)
		if c == taker || capacity == 0 || !easier(in.ease(c, now, capacity), mine) {
			continue
		}
		size := int64(sizeclass.Size(c))
		want := (capacity + cutShare - 1) / cutShare
		if s.unused(c) == 0 && evicted < evictions {
			evicted++
			k.evict(v, c, want)
		}
		cut := min(want, s.unused(c))
		if cut > 0 && k.swapEnd(v, s, c, end, end-cut) {
			in.steals++
			k.giveBack(in, int64(cut)*size)
			n -= int64(cut) * size
		}
	}
}

// evict moves up to n objects of class c from the slab to the transfer cache.
func (k *Cache) evict(v units.VCPU, c units.ClassID, n uint32) {
	var buf [16]uintptr
	got := k.popN(v, c, buf[:], min(int(n), len(buf)))
	if got > 0 {
		k.Transfer.Insert(c, buf[:got])
	}
}
