package percpu

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Stats of one vCPU; sizes in bytes. Misses, drains and the rest are counts since the process began.
type Stats struct {
	Populated            bool        // it has a slab now; what follows outlives the slab
	SlabBytes            units.Bytes // of address space; what is touched is less
	Used                 units.Bytes // in cached objects
	Capacity, Available  units.Bytes // the budget, and what of it no class has
	Refused              units.Bytes // what classes wanted to grow by beyond the budget
	Underflows, Overflow uint64
	Drains, Resizes      uint32 // of the whole cache; of the slab
	Steals               uint32 // how often a class lost capacity to another
	Carried              uint64 // objects it held when it was found in another last-level cache domain
}

// Stats reads the counters of vCPU v. While the vCPU is in use they are approximate. A vCPU the process never ran on
// has no capacity.
func (k *Cache) Stats(v units.VCPU, out *Stats) {
	in := k.info(v)
	*out = Stats{
		Capacity:  units.Bytes(max(atomic.LoadInt64(&in.capacity), 0)),
		Available: units.Bytes(max(atomic.LoadInt64(&in.available), 0)), Refused: units.Bytes(in.refused),
		Underflows: in.underflows, Overflow: in.overflows, Drains: in.drains, Resizes: in.resizes, Steals: in.steals, Carried: in.carried,
	}
	if s := slab(atomic.LoadUintptr(&in.slab)); s != 0 {
		out.Populated, out.SlabBytes, out.Used = true, 1<<atomic.LoadUint32(&in.shift), s.used()
	}
}

// Objects is how many objects of class c all slabs hold.
func (k *Cache) Objects(c units.ClassID) (sum uint32) {
	for v, n := units.VCPU(0), k.used(); v < n; v++ {
		if s := slab(atomic.LoadUintptr(&k.info(v).slab)); s != 0 {
			sum += s.length(c)
		}
	}
	return sum
}

// Holds reports whether object p of class c stands in some slab: a check for pointers under suspicion.
func (k *Cache) Holds(c units.ClassID, p uintptr) bool {
	for v, n := units.VCPU(0), k.used(); v < n; v++ {
		s := slab(atomic.LoadUintptr(&k.info(v).slab))
		if s != 0 && s.holds(c, p) {
			return true
		}
	}
	return false
}
