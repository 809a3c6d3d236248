package transfer

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

func TestRandomOperationsKeepTheInvariants(t *testing.T) {
	k := newTier(t)
	m := newChurn(t, k, newRand(t))
	for i := range long(10000) {
		c := m.class()
		switch op := m.r.IntN(100); {
		case op < 48 && m.mayRemove(c):
			m.remove(c)
		case op < 96:
			m.insert(c)
		case op < 98:
			k.Plunder()
		case op < 99:
			k.Rebalance()
		default:
			k.Drain()
		}
		if i%100 == 0 {
			check(t, k, held(&m.out))
			balanced(t, k)
		}
	}
}

// Producers free what they never allocate, consumers the other way round, while a background thread plunders
// and rebalances. Each object's first word says who has it.
func TestBiasedProducersAndConsumersLoseAndDoubleNothing(t *testing.T) {
	coreThreads(t)
	k := newTier(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	classes := []units.ClassID{1, 10, 39, 75, 87}
	const inHand, inCache = 0x1111, 0x2222
	pipe := make(chan []uintptr, 64) // from consumers to producers
	var done atomic.Bool
	var wg, background sync.WaitGroup
	for g := range 2 {
		wg.Go(func() { // consumer: takes from the cache
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := rand.New(rand.NewPCG(seed, uint64(g)))
			for range long(8000) {
				c := classes[r.IntN(len(classes))]
				var buf [centralfreelist.MaxBatch]uintptr
				n := k.Remove(c, buf[:], 1+r.IntN(int(sizeclass.Batch(c))))
				for _, p := range buf[:n] {
					if atomic.SwapUint64(sys.Word(p), inHand) == inHand {
						t.Errorf("%#x is in two hands", p)
					}
				}
				pipe <- append([]uintptr{uintptr(c)}, buf[:n]...)
			}
		})
	}
	var producers sync.WaitGroup
	for range 2 {
		producers.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for batch := range pipe {
				for _, p := range batch[1:] {
					if atomic.SwapUint64(sys.Word(p), inCache) != inHand {
						t.Errorf("%#x was in nobody's hand", p)
					}
				}
				if bad := k.Insert(units.ClassID(batch[0]), batch[1:]); bad != 0 {
					t.Errorf("%#x refused", bad)
				}
			}
		})
	}
	background.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for !done.Load() {
			k.Rebalance()
			k.Plunder()
			for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
				if st := stats(k, c); st.Used > st.Capacity || st.Capacity > st.Max {
					t.Errorf("class %d: used %d, capacity %d, maximum %d", c, st.Used, st.Capacity, st.Max)
				}
			}
			sys.Sleep(50e3)
		}
	})
	wg.Wait()
	close(pipe)
	producers.Wait()
	done.Store(true)
	background.Wait()

	var held [sizeclass.NumClasses]int
	check(t, k, &held)
	balanced(t, k)
	k.Drain()
	check(t, k, &held)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		require.Zero(t, outstanding(k, c), "class %d", c)
	}
	require.Empty(t, k.Central.Pages.Check())
}

// Capacity shrinks while another thread fills the array: what lies beyond the new capacity must leave in the
// same step, or the filler takes the difference, a negative number, for room.
func TestInsertWhileACapacityShrinksStaysWithinIt(t *testing.T) {
	coreThreads(t)
	k := newTier(t)
	const c = 2
	q := &k.shared.caches[c]
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for !done.Load() {
				var buf [centralfreelist.MaxBatch]uintptr
				n := k.Central.Remove(0, c, buf[:], len(buf), 0)
				k.Insert(c, buf[:n])
			}
		})
	}
	for range long(200) {
		for q.capacity > k.shared.sizes.least(c) {
			k.shrink(&k.shared, c)
			if st := stats(k, c); st.Used > st.Capacity {
				t.Errorf("used %d, capacity %d, maximum %d", st.Used, st.Capacity, st.Max)
				break
			}
		}
		q.mu.Lock()
		q.capacity = q.max
		q.mu.Unlock()
		for stats(k, c).Used < q.max/2 && !t.Failed() {
			runtime.Gosched()
		}
	}
	done.Store(true)
	wg.Wait()
	var held [sizeclass.NumClasses]int
	check(t, k, &held)
}
