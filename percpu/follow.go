package percpu

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// follow takes note of the last-level cache domain that a vCPU runs in. A virtual CPU is no place: its threads, and
// with them what its slab holds, move between domains, which no tier below sees. What it held when it was found in
// another domain is counted as carried, for the statistics: an upper bound of what crossed that way. And it is to that
// domain's transfer cache that others give back what they take from the slab (spill). Where all CPUs share a cache it
// costs a load and a compare, at misses only.
func (k *Cache) follow(v units.VCPU, in *info) {
	d := k.Transfer.Here()
	if d == in.domain {
		return
	}
	if s := slab(atomic.LoadUintptr(&in.slab)); in.domain != 0 && s != 0 {
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			in.carried += uint64(s.length(c))
		}
	}
	in.domain = d
}
