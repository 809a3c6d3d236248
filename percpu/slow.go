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
	if p := k.pop(v, c); p != 0 {
		return p
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

func (k *Cache) refill(v units.VCPU, c units.ClassID) uintptr {
	in := k.info(v)
	in.underflows++
	want := k.adapt(v, in, c, false)
	var buf [centralfreelist.MaxBatch]uintptr
	got := k.Transfer.Remove(c, buf[:], min(int(want), len(buf)))
	if got == 0 {
		return 0
	}
	rest := buf[1:got]
	if n := k.push(v, c, rest); n < len(rest) { // moved to another CPU, or the slab was stopped meanwhile
		k.Transfer.Insert(c, rest[n:])
	}
	return buf[0]
}

// Free takes object p of class c back. It returns a pointer that turned out not to be an object handed out
// (p or one freed before it), or 0.
func (k *Cache) Free(c units.ClassID, p uintptr) (bad uintptr) {
	v := k.current()
	if v < 0 || k.stopped(v) && !k.ready(v) {
		var one [1]uintptr
		one[0] = p
		return k.Transfer.Insert(c, one[:])
	}
	return k.freeOn(v, c, p)
}

func (k *Cache) freeOn(v units.VCPU, c units.ClassID, p uintptr) (bad uintptr) {
	var buf [centralfreelist.MaxBatch]uintptr
	buf[0] = p
	if k.push(v, c, buf[:1]) == 1 {
		return 0
	}
	in := k.info(v)
	in.overflows++
	n := min(int(k.adapt(v, in, c, true)), len(buf))
	n = 1 + k.popN(v, c, buf[1:], n-1)
	return k.Transfer.Insert(c, buf[:n])
}

// adapt lets class c of vCPU v grow as its miss deserves and returns how many objects to move.
func (k *Cache) adapt(v units.VCPU, in *info, c units.ClassID, overflow bool) uint32 {
	batch := sizeclass.Batch(c)
	s := slab(atomic.LoadUintptr(&in.slab))
	limit := uint32(k.layoutOf(s).slots[c])
	capacity := k.capacity(s, c)
	ci := &in.class[c]
	ci.last = uint32(in.misses())
	if capacity == limit && in.shift < maxShift && units.Bytes(limit+1)*sizeclass.Size(c) <= k.limit {
		in.outgrown++
		if in.outgrown > outgrownMax {
			k.enlarge(v, in)
		}
	}
	if n := growth(ci.history, overflow, capacity, limit, batch); n > 0 {
		capacity += k.grow(v, in, c, n)
	}
	ci.history = ci.history.after(overflow)
	return target(ci.history, capacity, batch)
}

// capacity is how many objects of class c slab s may hold now.
func (k *Cache) capacity(s slab, c units.ClassID) uint32 {
	end, begin := s.load(c).end(), uint32(k.layoutOf(s).begin[c])
	return end - min(end, begin) // no slots yet, or a slab that was given up: less than begin
}

// grow raises the capacity of class c by up to n objects, paid for from the vCPU's budget or by its other
// classes, and returns by how many. The slab may be exchanged, drained or enlarged meanwhile: then the
// header is no longer what was read, or the slab no longer the vCPU's, and nothing changes.
func (k *Cache) grow(v units.VCPU, in *info, c units.ClassID, n uint32) uint32 {
	size := int64(sizeclass.Size(c))
	got := k.take(in, int64(n)*size)
	if got < int64(n)*size {
		k.steal(v, in, c, int64(n)*size-got)
		got += k.take(in, int64(n)*size-got)
	}
	s := slab(atomic.LoadUintptr(&in.slab))
	l := k.layoutOf(s)
	begin := uint32(l.begin[c])
	h := s.load(c)
	from := h
	if h.end() == firstWord {
		s.mark(begin)
		from = makeHeader(begin, begin)
	}
	n = min(uint32(got/size), begin+uint32(l.slots[c])-from.end())
	next := makeHeader(from.current(), from.end()+n)
	if n > 0 && !k.swapHeader(v, s, c, h, next) {
		n = 0
	}
	k.giveBack(in, got-int64(n)*size)
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
	// recentMisses protects a class from being robbed until its vCPU has missed this often after it.
	recentMisses = 32
	// evictions bounds how many classes one miss may evict objects from: each costs a transfer-cache call.
	evictions = 4
)

// steal frees up to n bytes of budget by shrinking classes of the same vCPU that have not missed lately:
// unused capacity first, then objects.
func (k *Cache) steal(v units.VCPU, in *info, except units.ClassID, n int64) {
	s := slab(atomic.LoadUintptr(&in.slab))
	now := uint32(in.misses())
	evicted := 0
	for i := 0; i < sizeclass.NumClasses && n > 0; i++ {
		in.hand = (in.hand + 1) % sizeclass.NumClasses
		c := units.ClassID(in.hand)
		h := s.load(c)
		if c == except || h.end() <= firstWord || now-in.class[c].last < recentMisses {
			continue
		}
		size := int64(sizeclass.Size(c))
		want := uint32((n + size - 1) / size)
		if h.current() == h.end() && evicted < evictions {
			evicted++
			k.evict(v, c, want)
			h = s.load(c)
		}
		cut := min(want, h.end()-h.current())
		if cut > 0 && k.swapHeader(v, s, c, h, makeHeader(h.current(), h.end()-cut)) {
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
