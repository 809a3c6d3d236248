package percpu

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// The slower way to a slab of another vCPU, where membarrier is refused (a system call filter) or knows nothing of
// restartable sequences (Linux before 5.10): the background thread goes to the CPU (cgo/fence.c). There the slab is
// its own, and can be taken by a sequence (Cache.stop). Nothing is stopped, locked or entered while it travels, for
// that takes as long as the scheduler likes: for ever beside a real-time thread that never sleeps.
//
// It takes vCPUs that are numbers of CPUs. An mm_cid is not a place: the kernel gives it to whatever thread it likes,
// on any CPU. Without membarrier a process therefore starts with CPU numbers (internal/cdoor). Where membarrier is
// refused later, slabs of other vCPUs stay as they are with mm_cid, but for what their own threads do to them.
//
// Only the background thread travels. What others would have taken a slab for they note as a want.

// want is a set of reasons for a visit.
type want uint32

const (
	wantDrain   want = 1 << iota // Drain was called
	wantIdle                     // the vCPU is idle
	wantSqueeze                  // Balance gave away budget that classes have
	wantClasses                  // classes are idle
	wantShrink                   // the slab is too large
)

// visit is what is wanted of a visit to one vCPU. The vCPU's lock guards it.
type visit struct {
	wants want
	rest  uint32     // rounds in which the vCPU is left alone, since it could not be reached
	to    units.VCPU // wantSqueeze: this vCPU is to have so many bytes
	bytes int64
}

// visitRest is how many rounds a CPU that can't be reached is left alone: half a minute. It may be another cpuset's
// by now, or off.
const visitRest = 30

// NoVisit is the vCPU of no visit.
const NoVisit = units.VCPU(-1)

// Visits reports whether rounds of visits are needed: about once a second.
func (k *Cache) Visits() bool { return !k.locked() && atomic.LoadUint32(&k.fence) == fenceVisit }

// NextVisit does what is wanted of vCPU v, on whose CPU the caller is, if it was reached (NoVisit: begins a round),
// and returns the vCPU whose CPU the caller should go to next, or NoVisit.
func (k *Cache) NextVisit(v units.VCPU, reached bool) units.VCPU {
	if v != NoVisit {
		k.serve(v, reached)
	}
	for v++; v < k.used() && k.Visits(); v++ {
		in := k.info(v)
		in.mu.Lock()
		wanted := in.slab != 0 && in.visit.wants != 0 && in.visit.rest == 0
		in.visit.rest -= min(in.visit.rest, 1)
		in.mu.Unlock()
		if wanted {
			return v
		}
	}
	return NoVisit
}

func (k *Cache) serve(v units.VCPU, reached bool) {
	in := k.info(v)
	in.mu.Lock()
	wants := in.visit.wants
	if reached {
		in.visit.wants = 0
	} else {
		wants, in.visit.rest = 0, visitRest
	}
	owed := move{v, in.visit.to, in.visit.bytes}
	in.mu.Unlock()
	if wants&wantIdle != 0 && !in.still() {
		wants &^= wantIdle
	}
	if why := wants & (wantDrain | wantIdle); why != 0 {
		k.drain(v, why)
		return
	}
	if wants&wantSqueeze != 0 {
		k.carry(&owed)
	}
	if wants&wantClasses != 0 {
		k.drainClasses(v, in)
	}
	if wants&wantShrink != 0 {
		k.shrink(v, in)
	}
}

// still reports whether a vCPU that was idle when DrainIdle looked is so still.
func (in *info) still() bool {
	s := slab(atomic.LoadUintptr(&in.slab))
	for c := units.ClassID(1); s != 0 && c < sizeclass.NumClasses; c++ {
		if ci := &in.class[c]; ci.quiet < idleLooks || s.glance(c) != ci.seen {
			return false
		}
	}
	return true
}

// owe notes that a move of budget fell short by n bytes, for a visit to go on with.
func (k *Cache) owe(m *move, n int64) {
	in := k.info(m.from)
	in.mu.Lock()
	if in.visit.wants&wantSqueeze != 0 {
		in.visit.to, in.visit.bytes = m.to, n
	}
	in.mu.Unlock()
}
