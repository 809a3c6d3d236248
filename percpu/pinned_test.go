package percpu

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "unsafe" // for linkname

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

// newPinned is a cache whose slabs belong to Ps. strong: as where there is no membarrier.
func newPinned(t testing.TB, strong bool) *Cache {
	k := new(Cache)
	pages := &k.Transfer.Central.Pages
	require.True(t, pages.Init(pageheap.Options{Seed: rand.Uint64()}), "no window")
	t.Cleanup(pages.Unmap)
	require.True(t, k.Init(Options{Pinned: true, VCPUs: 16, Limit: units.MaxSmall}))
	require.NotZero(t, k.Records(), "membarrier is there wherever tests run")
	require.Zero(t, k.Records()%64)
	if strong {
		k.pinned = pinnedStrong
		require.Zero(t, k.Records())
	}
	return k
}

// goAlloc and goFree are what the Go door does.
func goAlloc(k *Cache, c units.ClassID) uintptr {
	v := procPin()
	defer procUnpin()
	if base := k.Records(); base != 0 && v < int(k.VCPUs()) {
		if p := PinnedAt(base, uintptr(v)).Pop(c); p&1 == 0 {
			return p
		}
	}
	return k.AllocOn(units.VCPU(v), c)
}

func goFree(k *Cache, c units.ClassID, p uintptr) uintptr {
	v := procPin()
	defer procUnpin()
	if base := k.Records(); base != 0 && v < int(k.VCPUs()) && PinnedAt(base, uintptr(v)).Push(c, p) {
		return 0
	}
	return k.FreeOn(units.VCPU(v), c, p)
}

func TestPinnedFastPathsAreLastInFirstOutAndBounded(t *testing.T) {
	k := newPinned(t, false)
	r := PinnedAt(k.Records(), 3)
	require.Equal(t, uintptr(1), r.Pop(5)&1, "nothing is in the empty slab")
	require.False(t, r.Push(5, 64), "and nothing fits")
	require.True(t, k.populate(3))
	p := k.AllocOn(3, 5)
	require.NotZero(t, p)
	for range 3 {
		require.Zero(t, k.FreeOn(3, 5, p))
		require.Equal(t, p, r.Pop(5))
	}
	require.Zero(t, k.FreeOn(3, 5, p))
	n := k.Objects(5)
	require.Positive(t, n)
	for range n {
		require.Zero(t, r.Pop(5)&1)
	}
	require.Equal(t, uintptr(1), r.Pop(5)&1)
	require.Zero(t, k.Objects(5))
	for i := range slab(k.info(3).slab).unused(5) {
		require.True(t, r.Push(5, 128+uintptr(i)*64))
	}
	require.False(t, r.Push(5, 64))
	require.Zero(t, r.Inside)
	for r.Pop(5)&1 == 0 { // these were no objects
	}
}

func TestAPBeyondTheTableIsServedByTheTransferCaches(t *testing.T) {
	k := newPinned(t, false)
	p := k.AllocOn(16, 5)
	require.NotZero(t, p)
	require.Zero(t, k.FreeOn(1000, 5, p))
	require.Zero(t, k.Objects(5))
}

// A stop waits for an owner inside its section, and the owner that comes after it finds the empty slab.
func TestAStopWaitsForTheOwnerInside(t *testing.T) {
	for _, strong := range []bool{false, true} {
		k := newPinned(t, strong)
		require.True(t, k.populate(2))
		in := k.info(2)
		s := k.own(2)
		require.EqualValues(t, in.slab, s)
		var stopped atomic.Bool
		done := make(chan struct{})
		in.mu.Lock()
		go func() {
			require.True(t, k.stop(2, wantDrain))
			stopped.Store(true)
			close(done)
		}()
		time.Sleep(20 * time.Millisecond)
		require.False(t, stopped.Load(), "strong: %v", strong)
		require.True(t, k.stopped(2))
		k.disown(2)
		<-done
		require.EqualValues(t, k.empty, k.own(2))
		k.disown(2)
		require.Zero(t, k.popPinned(2, 5, make([]uintptr, 1), 1))
		require.Zero(t, k.pushPinned(2, 5, []uintptr{64}))
		require.False(t, k.swapPinned(s, 5, s.end(5), s.end(5)+1))
		k.start(2)
		in.mu.Unlock()
		require.EqualValues(t, in.slab, k.own(2))
		k.disown(2)
	}
}

// Goroutines allocate and free each other's objects while others drain slabs and move their budgets, and GOMAXPROCS changes.
// Each object's first word says who has it.
func TestPinnedStormsLoseAndDoubleNothing(t *testing.T) {
	for _, strong := range []bool{false, true} {
		procs := runtime.GOMAXPROCS(8)
		k := newPinned(t, strong)
		seed := rand.Uint64()
		t.Logf("strong %v, seed %d", strong, seed)
		var wg, background sync.WaitGroup
		var done atomic.Bool
		const goroutines = 8
		var held [goroutines][sizeclass.NumClasses][]uintptr
		for g := range goroutines {
			wg.Go(func() { pinnedWorker(t, k, &held[g], rand.New(rand.NewPCG(seed, uint64(g))), coretest.Long(40_000)) })
		}
		background.Go(func() {
			r := rand.New(rand.NewPCG(seed, 99))
			for i := 0; !done.Load(); i++ {
				v := units.VCPU(r.IntN(8))
				procPin() // a core lock is held
				switch i % 4 {
				case 0:
					k.DrainIdle()
				case 1:
					k.Balance()
				default:
					k.Drain(v)
				}
				procUnpin()
				if i%64 == 0 {
					runtime.GOMAXPROCS(1 + r.IntN(12))
				}
				runtime.Gosched()
			}
		})
		wg.Wait()
		done.Store(true)
		background.Wait()
		runtime.GOMAXPROCS(procs)
		var count [sizeclass.NumClasses]int
		for g := range held {
			for c := range held[g] {
				count[c] += len(held[g][c])
			}
		}
		check(t, k, &count)
		for g := range held {
			for c := range held[g] {
				for _, p := range held[g][c] {
					require.Zero(t, goFree(k, units.ClassID(c), p))
				}
			}
		}
		var none [sizeclass.NumClasses]int
		check(t, k, &none)
		empty(t, k)
	}
}

func pinnedWorker(t *testing.T, k *Cache, held *[sizeclass.NumClasses][]uintptr, r *rand.Rand, steps int) {
	for range steps {
		c := units.ClassID(1 + r.IntN(20))
		if len(held[c]) < 200 && r.IntN(2) == 0 {
			for range 1 + r.IntN(40) {
				p := goAlloc(k, c)
				if p == 0 || atomic.SwapUint64(sys.Word(p), inHand) == inHand {
					t.Errorf("%#x is in two hands", p)
					return
				}
				held[c] = append(held[c], p)
			}
			continue
		}
		for n := 1 + r.IntN(40); n > 0 && len(held[c]) > 0; n-- {
			last := len(held[c]) - 1
			p := held[c][last]
			held[c] = held[c][:last]
			if atomic.SwapUint64(sys.Word(p), inCache) != inHand {
				t.Errorf("%#x was in nobody's hand", p)
			}
			if bad := goFree(k, c, p); bad != 0 {
				t.Errorf("%#x refused", bad)
			}
		}
	}
}
