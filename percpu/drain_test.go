package percpu

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

func TestDrainGivesBackObjectsAndBudget(t *testing.T) {
	k := newCache(t, 2, 0)
	require.False(t, k.Drain(0), "not populated")
	require.True(t, k.populate(0))
	var held [sizeclass.NumClasses]int
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		p := k.allocOn(0, c)
		require.NotZero(t, p)
		require.Zero(t, k.freeOn(0, c, p))
	}
	require.Positive(t, slab(k.info(0).slab).used())
	require.True(t, k.Drain(0))
	check(t, k, &held)
	var st Stats
	k.Stats(0, &st)
	require.Zero(t, st.Used)
	require.Equal(t, st.Capacity, st.Available)
	require.EqualValues(t, 1, st.Drains)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		require.Zero(t, k.Objects(c))
	}
	require.False(t, st.Populated)
	require.True(t, k.populate(0)) // and it goes on
	p := k.allocOn(0, 5)
	require.True(t, p != 0 && k.freeOn(0, 5, p) == 0)
	check(t, k, &held)
	empty(t, k)
}

func TestOnlyIdleVCPUsAreDrained(t *testing.T) {
	k := newCache(t, 3, 0)
	for v := units.VCPU(0); v < 2; v++ {
		require.True(t, k.populate(v))
		for range 3 {
			require.Zero(t, k.freeOn(v, 5, k.allocOn(v, 5)))
		}
	}
	drains := func() [2]uint32 { return [2]uint32{k.info(0).drains, k.info(1).drains} }
	var p uintptr
	for i := range idleLooks {
		k.DrainIdle()
		require.Equal(t, [2]uint32{0, 0}, drains())
		if i == idleLooks/2 {
			before := k.info(1).misses()
			p = k.allocOn(1, 5)
			require.Equal(t, before, k.info(1).misses(), "a hit")
		}
	}
	k.DrainIdle()
	require.Equal(t, [2]uint32{1, 0}, drains(), "vCPU 1 holds another number of bytes than before")
	require.Zero(t, k.info(0).slab, "its memory is given back")
	for range idleLooks {
		k.DrainIdle()
	}
	require.Equal(t, [2]uint32{1, 1}, drains())
	require.True(t, k.populate(1))
	require.Zero(t, k.freeOn(1, 5, p))
	empty(t, k)
}

func TestIdleClassesOfABusyVCPUAreDrained(t *testing.T) {
	for _, policy := range []Policy{Demand, Paper} {
		k := newCache(t, 1, 0)
		k.policy = policy
		require.True(t, k.populate(0))
		fill := func(c units.ClassID) {
			var objects []uintptr
			for range 100 {
				objects = append(objects, k.allocOn(0, c))
			}
			for _, p := range objects {
				require.Zero(t, k.freeOn(0, c, p))
			}
		}
		fill(5)
		for range 2 * idleLooks {
			fill(7)
			k.DrainIdle()
		}
		require.Equal(t, policy == Paper, slab(k.info(0).slab).length(5) > 0)
		require.Equal(t, policy == Paper, slab(k.info(0).slab).capacity(5) > 0)
		require.Positive(t, slab(k.info(0).slab).length(7))
		var held [sizeclass.NumClasses]int
		check(t, k, &held)
		empty(t, k)
	}
}

func TestASlabShrinksWhenItsClassesNeedAQuarterOfIt(t *testing.T) {
	k := newCache(t, 1, 0)
	require.True(t, k.populate(0))
	in := k.info(0)
	in.mu.Lock()
	need := needs{3: 40000}
	require.True(t, k.relayout(0, in, &need, 0))
	in.mu.Unlock()
	require.EqualValues(t, maxShift, in.shift)
	require.Zero(t, k.freeOn(0, 3, k.allocOn(0, 3)))
	k.DrainIdle()
	require.EqualValues(t, minShift, in.shift)
	var held [sizeclass.NumClasses]int
	check(t, k, &held)
}

func TestHoldsFindsWhatLiesInSlabsAndNothingElse(t *testing.T) {
	k := newCache(t, 3, 0)
	require.True(t, k.populate(2))
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		require.True(t, k.Drain(2) && k.populate(2)) // the budget is this class's
		p := k.allocOn(2, c)
		require.False(t, k.Holds(c, p))
		require.Zero(t, k.freeOn(2, c, p))
		require.True(t, k.Holds(c, p))
		require.False(t, k.Holds(c, p+2))
		require.Equal(t, p, k.allocOn(2, c), "last in, first out")
		require.False(t, k.Holds(c, p))
		require.Zero(t, k.freeOn(2, c, p))
	}
}

// Threads allocate and free on all vCPUs, also on those they do not run on, while others drain and enlarge
// them. Each object's first word says who has it.
func TestStormsLoseAndDoubleNothingAndKeepTheBudget(t *testing.T) {
	coretest.Threads(t, 8)
	const vcpus = 3
	for _, limit := range []units.Bytes{0, units.MaxSmall} {
		k := newCache(t, vcpus, limit)
		for v := units.VCPU(0); v < vcpus; v++ {
			require.True(t, k.populate(v))
		}
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		s := &storm{t: t, k: k}
		for round := range 4 {
			s.round(seed, round, coretest.Long(12000))
			for c := range s.count {
				s.count[c] = 0
				for g := range s.held {
					s.count[c] += len(s.held[g][c])
				}
			}
			check(t, k, &s.count)
		}
		for g := range s.held {
			for c := range s.held[g] {
				for _, p := range s.held[g][c] {
					require.Zero(t, k.Free(units.ClassID(c), p))
				}
			}
		}
		var none [sizeclass.NumClasses]int
		check(t, k, &none)
		empty(t, k)
	}
}

const stormThreads = 4

type storm struct {
	t     *testing.T
	k     *Cache
	held  [stormThreads][sizeclass.NumClasses][]uintptr
	count [sizeclass.NumClasses]int
}

const inHand, inCache = 0x1111, 0x2222

func (s *storm) round(seed uint64, round, steps int) {
	var wg, background sync.WaitGroup
	var done atomic.Bool
	for g := range stormThreads {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := rand.New(rand.NewPCG(seed, uint64(round*stormThreads+g)))
			for range steps {
				s.step(g, r)
			}
		})
	}
	background.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		r := rand.New(rand.NewPCG(seed, uint64(1000+round)))
		for i := 0; !done.Load(); i++ {
			v := units.VCPU(r.IntN(int(s.k.VCPUs())))
			in := s.k.info(v)
			switch r.IntN(7) {
			case 0:
				if i%5 == 0 {
					s.k.Drain(v)
				}
			case 1:
				s.k.DrainIdle()
			case 2:
				s.k.Transfer.Plunder()
			case 3:
				s.k.Balance()
			case 4:
				s.k.carry(&move{v, (v + 1) % units.VCPU(s.k.VCPUs()), r.Int64N(in.capacity/4 + 1)})
			case 5:
				c := units.ClassID(1 + r.IntN(12))
				s.k.outgrow(v, in, c, uint32(r.IntN(1<<r.IntN(16))))
			default:
				in.mu.Lock()
				var need needs
				if in.slab != 0 {
					s.k.needs(slab(in.slab), &need)
					s.k.relayout(v, in, &need, 0)
				}
				in.mu.Unlock()
			}
			sys.Sleep(300e3)
		}
	})
	wg.Wait()
	done.Store(true)
	background.Wait()
}

func (s *storm) step(g int, r *rand.Rand) {
	k, held := s.k, &s.held[g]
	v := units.VCPU(r.IntN(int(k.VCPUs())))
	if k.stopped(v) {
		k.ready(v)
	}
	c := units.ClassID(1 + r.IntN(12))
	if r.IntN(4) == 0 {
		c = units.ClassID(1 + r.IntN(sizeclass.NumClasses-1))
	}
	if max := 1 + (1<<20)/int(sizeclass.Size(c)); len(held[c]) < min(max, 400) && r.IntN(2) == 0 {
		for range 1 + r.IntN(30) {
			var p uintptr
			if r.IntN(4) == 0 {
				p = k.Alloc(c)
			} else {
				p = k.allocOn(v, c)
			}
			if p == 0 || atomic.SwapUint64(sys.Word(p), inHand) == inHand {
				s.t.Errorf("%#x is in two hands", p)
				return
			}
			held[c] = append(held[c], p)
		}
		return
	}
	for n := 1 + r.IntN(30); n > 0 && len(held[c]) > 0; n-- {
		i := r.IntN(len(held[c]))
		p := held[c][i]
		last := len(held[c]) - 1
		held[c][i] = held[c][last]
		held[c] = held[c][:last]
		if atomic.SwapUint64(sys.Word(p), inCache) != inHand {
			s.t.Errorf("%#x was in nobody's hand", p)
		}
		bad := uintptr(0)
		if r.IntN(4) == 0 {
			bad = k.Free(c, p)
		} else {
			bad = k.freeOn(v, c, p)
		}
		if bad != 0 {
			s.t.Errorf("%#x refused", bad)
		}
	}
}
