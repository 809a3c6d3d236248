package transfer

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

func TestRandomOperationsKeepTheInvariants(t *testing.T) {
	k := newTier(t)
	m := newChurn(t, k, coretest.Rand(t))
	for i := range coretest.Long(10000) {
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

// What an object's first word says of where it is.
const inHand, inCache = 0x1111, 0x2222

// grab takes up to n objects of class c in hand, where none of them may have been.
func grab(t *testing.T, k *Tier, c units.ClassID, n int) []uintptr {
	var buf [centralfreelist.MaxBatch]uintptr
	got := append([]uintptr(nil), buf[:k.Remove(c, buf[:], n)]...)
	for _, p := range got {
		if atomic.SwapUint64(sys.Word(p), inHand) == inHand {
			t.Errorf("%#x is in two hands", p)
		}
	}
	return got
}

// drop gives up to a batch of objects back, and returns the others.
func drop(t *testing.T, k *Tier, c units.ClassID, objects []uintptr) []uintptr {
	var buf [centralfreelist.MaxBatch]uintptr
	n := copy(buf[:], objects)
	for _, p := range buf[:n] {
		if atomic.SwapUint64(sys.Word(p), inCache) != inHand {
			t.Errorf("%#x was in nobody's hand", p)
		}
	}
	if bad := k.Insert(c, buf[:n]); bad != 0 {
		t.Errorf("%#x refused", bad)
	}
	return objects[n:]
}

// Producers free what they never allocate, consumers the other way round, while a background thread plunders
// and rebalances. Each object's first word says who has it.
func TestBiasedProducersAndConsumersLoseAndDoubleNothing(t *testing.T) {
	coretest.Threads(t, 8)
	k := newTier(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	classes := []units.ClassID{1, 10, 39, 75, 87}
	type batch struct {
		c       units.ClassID
		objects []uintptr
	}
	pipe := make(chan batch, 64) // from consumers to producers
	var done atomic.Bool
	var wg, background sync.WaitGroup
	for g := range 2 {
		wg.Go(func() { // consumer: takes from the cache
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := rand.New(rand.NewPCG(seed, uint64(g)))
			for range coretest.Long(8000) {
				c := classes[r.IntN(len(classes))]
				pipe <- batch{c, grab(t, k, c, 1+r.IntN(int(sizeclass.Batch(c))))}
			}
		})
	}
	var producers sync.WaitGroup
	for range 2 {
		producers.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for b := range pipe {
				drop(t, k, b.c, b.objects)
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
	coretest.Threads(t, 8)
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
	for range coretest.Long(200) {
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
