package percpu

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// outgrownMax is how often classes may miss at their layout's limit before the slab is laid out anew: the
// move costs a fence (some microseconds, an interrupt on each busy CPU) and first touches of new pages.
const outgrownMax = 256

// enlarge moves vCPU v to the next larger slab, objects and capacities included.
func (k *Cache) enlarge(v units.VCPU, in *info) {
	if !in.mu.TryLock() {
		return
	}
	in.outgrown = 0
	shift := in.shift + 1
	if shift > maxShift || in.slab == 0 || !k.canStop() {
		in.mu.Unlock()
		return
	}
	to := k.layoutFor(shift)
	next := k.newSlab(v, shift)
	if next == 0 || !k.stop(v) {
		in.mu.Unlock()
		return
	}
	old := slab(in.slab)
	from := k.layoutOf(old)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		h := old.load(c)
		if h.end() == firstWord {
			continue
		}
		begin, was := uint32(to.begin[c]), uint32(from.begin[c])
		next.mark(begin)
		for i := was; i < h.current(); i++ {
			*next.word(begin + i - was) = *old.word(i)
		}
		next.store(c, makeHeader(begin+h.current()-was, begin+h.end()-was))
	}
	atomic.StoreUint32(&in.shift, shift)
	atomic.StoreUintptr(&in.slab, uintptr(next))
	k.start(v)
	in.mu.Unlock()
	// The old slab stays mapped: a thread that read its address before may still look at a header. Its
	// memory goes back.
	sys.Madvise(uintptr(old), 1<<(shift-1), sys.MadvDontNeed)
}

// Drain empties the slab of vCPU v into the transfer caches and takes its classes' capacity back into the
// budget. It reports whether it could.
func (k *Cache) Drain(v units.VCPU) bool {
	in := k.info(v)
	in.mu.Lock()
	if in.slab == 0 || !k.stop(v) {
		in.mu.Unlock()
		return false
	}
	var buf [centralfreelist.MaxBatch]uintptr
	s := slab(in.slab)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		bytes := int64(k.capacity(s, c)) * int64(sizeclass.Size(c))
		for {
			n := s.pop(c, buf[:], len(buf))
			if n == 0 {
				break
			}
			k.Transfer.Insert(c, buf[:n])
		}
		s.store(c, emptyHeader)
		k.giveBack(in, bytes)
	}
	in.drains++
	k.start(v)
	in.mu.Unlock()
	return true
}

// DrainAll drains every populated vCPU.
func (k *Cache) DrainAll() {
	for v := units.VCPU(0); uintptr(v) < k.vcpus; v++ {
		if atomic.LoadUintptr(&k.info(v).slab) != 0 {
			k.Drain(v)
		}
	}
}

// DrainIdle drains the vCPUs that have not missed since the last call and hold as many bytes as then. Call it
// rarely (30 s): a drain empties a whole cache and must hit only those nobody uses. One that is used without
// ever missing shows by what it holds, most of the time.
func (k *Cache) DrainIdle() {
	for v := units.VCPU(0); uintptr(v) < k.vcpus; v++ {
		in := k.info(v)
		s := slab(atomic.LoadUintptr(&in.slab))
		if s == 0 {
			continue
		}
		m, used := in.misses(), uint64(k.usedBytes(s))
		if m == in.quiet && used == in.still && used > 0 {
			k.Drain(v)
		}
		in.quiet, in.still = m, used
	}
}
