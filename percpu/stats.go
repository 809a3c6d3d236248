package percpu

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Stats of one vCPU; sizes in bytes.
type Stats struct {
	Populated            bool
	SlabBytes            units.Bytes // of address space; what is touched is less
	Used                 units.Bytes // in cached objects
	Capacity, Available  units.Bytes
	Underflows, Overflow uint64
	Drains               uint32
}

// Stats reads the counters of vCPU v. While the vCPU is in use they are approximate.
func (k *Cache) Stats(v units.VCPU, out *Stats) {
	in := k.info(v)
	*out = Stats{}
	s := slab(atomic.LoadUintptr(&in.slab))
	if s == 0 {
		return
	}
	*out = Stats{Populated: true, SlabBytes: 1 << in.shift, Used: k.usedBytes(s), Capacity: units.Bytes(in.capacity),
		Available: units.Bytes(max(atomic.LoadInt64(&in.available), 0)), Underflows: in.underflows, Overflow: in.overflows, Drains: in.drains}
}

// Objects is how many objects of class c all slabs hold.
func (k *Cache) Objects(c units.ClassID) (n uint32) {
	for v := units.VCPU(0); uintptr(v) < k.vcpus; v++ {
		if s := slab(atomic.LoadUintptr(&k.info(v).slab)); s != 0 {
			n += k.length(s, c)
		}
	}
	return n
}

// length is how many objects of class c slab s holds.
func (k *Cache) length(s slab, c units.ClassID) uint32 {
	current, begin := s.load(c).current(), uint32(k.layoutOf(s).begin[c])
	return current - min(current, begin)
}

func (k *Cache) usedBytes(s slab) (n units.Bytes) {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		n += units.Bytes(k.length(s, c)) * sizeclass.Size(c)
	}
	return n
}

// Holds reports whether object p of class c stands in some slab: a check for pointers under suspicion.
func (k *Cache) Holds(c units.ClassID, p uintptr) bool {
	for v := units.VCPU(0); uintptr(v) < k.vcpus; v++ {
		s := slab(atomic.LoadUintptr(&k.info(v).slab))
		if s != 0 && s.holds(c, p) {
			return true
		}
	}
	return false
}
