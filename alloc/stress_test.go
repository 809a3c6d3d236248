package alloc_test

import (
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/alloc"
)

// stressTime is how long the stress test runs: 5 s, or VCMTEST_STRESS.
func stressTime(t *testing.T) time.Duration {
	if v := os.Getenv("VCMTEST_STRESS"); v != "" {
		d, err := time.ParseDuration(v)
		require.NoError(t, err)
		return d
	}
	return 5 * time.Second
}

// object is what the tests remember of an allocation.
type object struct {
	p    unsafe.Pointer
	n    uintptr
	seed byte
}

// Goroutines allocate, resize and free objects of all sizes, also each other's, while GOMAXPROCS goes from 1 to 16
// and back every 10 ms, the collector never stops and memory is returned. Every object keeps its contents, nothing
// deadlocks, and at the end nothing is in use that was not before.
func TestStress(t *testing.T) {
	procs, percent := runtime.GOMAXPROCS(0), debug.SetGCPercent(10)
	before := alloc.ReadStats().Usable
	end := time.Now().Add(stressTime(t))
	hand := make(chan object, 2000)
	var ops atomic.Int64
	var workers, helpers sync.WaitGroup
	var done atomic.Bool
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for g := range 12 {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(g)))
			var mine []object
			for time.Now().Before(end) && !t.Failed() {
				for range 100 {
					mine = stressStep(t, r, mine, hand)
				}
				ops.Add(100)
			}
			for _, o := range mine {
				release(t, o)
			}
		})
	}
	helpers.Go(func() {
		for n, step := 1, 1; !done.Load(); n += step {
			runtime.GOMAXPROCS(n)
			if n == 16 || n == 1 && step < 0 {
				step = -step
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	helpers.Go(func() {
		for !done.Load() {
			runtime.GC()
		}
	})
	helpers.Go(func() {
		for !done.Load() {
			alloc.ReleaseOSMemory()
			alloc.ReadStats()
			time.Sleep(50 * time.Millisecond)
		}
	})
	workers.Wait()
	done.Store(true)
	helpers.Wait()
	runtime.GOMAXPROCS(procs)
	debug.SetGCPercent(percent)
	close(hand)
	for o := range hand {
		release(t, o)
	}
	require.Equal(t, before, alloc.ReadStats().Usable)
	t.Logf("%d operations", ops.Load())
}

func stressStep(t *testing.T, r *rand.Rand, mine []object, hand chan object) []object {
	switch k := r.IntN(10); {
	case k < 4 || len(mine) == 0:
		n := uintptr(r.Uint64N(1 << r.UintN(14)))
		if r.IntN(500) == 0 {
			n = uintptr(r.Uint64N(3 << 20))
		}
		p, err := alloc.Malloc(n)
		if err != nil {
			t.Error(err)
			return mine
		}
		o := object{p, n, byte(r.Uint32())}
		fill(o.p, o.n, o.seed)
		return append(mine, o)
	case k < 5:
		i := r.IntN(len(mine))
		o := mine[i]
		n := uintptr(r.Uint64N(1 << r.UintN(14)))
		p, err := alloc.Realloc(o.p, n)
		if err != nil || !holds(p, min(n, o.n), o.seed) {
			t.Errorf("realloc from %d to %d: %v", o.n, n, err)
			return mine
		}
		fill(p, n, o.seed)
		mine[i] = object{p, n, o.seed}
		return mine
	}
	i := r.IntN(len(mine))
	o := mine[i]
	mine[i] = mine[len(mine)-1]
	mine = mine[:len(mine)-1]
	select {
	case hand <- o:
		select {
		case o = <-hand: // most likely another goroutine's
		default:
			return mine
		}
	default: // full: this one is not passed on
	}
	release(t, o)
	return mine
}

func release(t *testing.T, o object) {
	if !holds(o.p, o.n, o.seed) {
		t.Errorf("object of %d bytes damaged", o.n)
	}
	if o.seed%2 == 0 {
		alloc.FreeSized(o.p, o.n)
	} else {
		alloc.Free(o.p)
	}
}
