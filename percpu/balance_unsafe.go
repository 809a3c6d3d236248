package percpu

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Balance moves budget between vCPUs by the policy (shuffle.go). The sum of all budgets stays. Call it every five
// seconds, from one thread.
func (k *Cache) Balance() {
	if k.policy == Static {
		return
	}
	n := k.used()
	for v := units.VCPU(0); v < n; v++ {
		in := k.info(v)
		if capacity := atomic.LoadInt64(&in.capacity); capacity != 0 {
			(*load)(k.loadAt(v)).begin(in.misses(), in.refused, capacity, max(atomic.LoadInt64(&in.available), 0))
		}
	}
	var moves [maxMoves]move
	count := plan(unsafe.Slice((*load)(k.loadAt(0)), n), int64(k.limit), k.policy, &k.first, &moves)
	for i := 0; i < count; i++ {
		k.carry(&moves[i])
	}
}

func (k *Cache) loadAt(v units.VCPU) unsafe.Pointer {
	return sys.At(k.loads.Base() + uintptr(v)*unsafe.Sizeof(load{}))
}

// carry carries out a move, as far as the source has what it was thought to have.
func (k *Cache) carry(m *move) {
	from, to := k.info(m.from), k.info(m.to)
	got := k.take(from, m.bytes)
	if got < m.bytes {
		got += k.squeeze(m.from, m.bytes-got)
		if got < m.bytes {
			k.owe(m, m.bytes-got)
		}
	}
	atomic.AddInt64(&from.capacity, -got)
	atomic.AddInt64(&to.capacity, got)
	k.giveBack(to, got)
}

// squeeze frees up to n bytes of the capacity of vCPU v's classes and returns how many: larger classes first, and
// first what holds no objects. A stop costs a fence, so what is taken beyond n stays the vCPU's, as available.
func (k *Cache) squeeze(v units.VCPU, n int64) (got int64) {
	in := k.info(v)
	in.mu.Lock()
	if in.slab != 0 && k.stop(v, wantSqueeze) {
		for pass := 0; pass < 2; pass++ {
			for c := units.ClassID(sizeclass.NumClasses - 1); c > 0 && got < n; c-- {
				got += k.cut(in, c, n-got, pass == 1)
			}
		}
		k.start(v)
	}
	in.mu.Unlock()
	if got > n {
		k.giveBack(in, got-n)
		got = n
	}
	return got
}

// cut takes at least n bytes of capacity from class c, if it has so many, and returns how many. With objects it also
// takes capacity that holds objects. Preconditions: the caller owns the slab.
func (k *Cache) cut(in *info, c units.ClassID, n int64, objects bool) int64 {
	s, size := slab(in.slab), int64(sizeclass.Size(c))
	want := uint32((n + size - 1) / size)
	unused := s.unused(c)
	if objects && want > unused {
		k.spill(in, c, want-unused)
		unused = s.unused(c)
	}
	want = min(want, unused)
	if want > 0 {
		in.steals++
		s.setEnd(c, s.end(c)-want)
	}
	return int64(want) * size
}
