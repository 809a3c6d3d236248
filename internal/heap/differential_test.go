package heap

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// differential is threads that allocate, resize and free objects filled with patterns, also each other's.
type differential struct {
	t       *testing.T
	h       *Heap
	seed    uint64
	live    [][]object2 // by thread
	trade   []atomic.Pointer[object2]
	done    atomic.Bool
	forks   atomic.Int64
	rounds  int
	threads int
}

func newDifferential(t *testing.T, h *Heap, threads int) *differential {
	seed := coretest.Seed(t)
	return &differential{t: t, h: h, seed: seed, threads: threads, live: make([][]object2, threads), trade: make([]atomic.Pointer[object2], 32)}
}

// run lets each thread do n steps.
func (d *differential) run(n int) {
	d.done.Store(false)
	var wg, background sync.WaitGroup
	d.rounds++
	for g := range d.threads {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := rand.New(rand.NewPCG(d.seed, uint64(d.rounds*100+g)))
			for i := range n {
				d.step(g, uint64(d.rounds)<<40|uint64(g)<<32|uint64(i), r)
			}
		})
	}
	background.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for now := int64(1); !d.done.Load(); now += 1e9 {
			d.h.Background(now)
			if now/1e9%50 == 49 {
				d.h.Trim()
			}
			sys.Sleep(500e3)
		}
	})
	wg.Wait()
	d.done.Store(true)
	background.Wait()
}

func randomSize(r *rand.Rand) units.Bytes {
	switch k := r.IntN(1000); {
	case k < 700:
		return units.Bytes(r.IntN(300))
	case k < 950:
		return units.Bytes(r.IntN(5000))
	case k < 995:
		return units.Bytes(r.IntN(300 << 10))
	}
	return units.Bytes(r.IntN(3 << 20))
}

func (d *differential) step(g int, key uint64, r *rand.Rand) {
	live := &d.live[g]
	if len(*live) < 50 || len(*live) < 1500 && r.IntN(100) < 50 {
		o := object2{size: randomSize(r), key: key}
		if r.IntN(16) == 0 {
			o.align = 16 << r.IntN(10)
			o.p = d.h.Aligned(o.size, o.align)
		} else {
			o.p = d.h.Malloc(o.size)
		}
		if o.p == 0 || o.p%max(o.align, 16) != 0 {
			d.t.Errorf("%d bytes aligned to %d: %#x", o.size, o.align, o.p)
			return
		}
		fill(o.p, o.size, key)
		*live = append(*live, o)
		return
	}
	i := r.IntN(len(*live))
	o := (*live)[i]
	if at := intact(o.p, o.size, o.size, o.key); at >= 0 {
		d.t.Errorf("byte %d of the %d at %#x changed", at, o.size, o.p)
	}
	switch k := r.IntN(100); {
	case k < 10:
		size := randomSize(r)
		q := d.h.Realloc(o.p, size, CallRealloc)
		if q == 0 {
			d.t.Errorf("no memory for %d bytes", size)
			return
		}
		if at := intact(q, min(size, o.size), o.size, o.key); at >= 0 {
			d.t.Errorf("realloc from %d to %d changed byte %d", o.size, size, at)
		}
		fill(q, size, key)
		(*live)[i] = object2{p: q, size: size, key: key}
		return
	case k < 40: // somebody else frees it
		if other := d.trade[r.IntN(len(d.trade))].Swap(&o); other != nil {
			(*live)[i] = *other
			return
		}
	case k < 60:
		d.h.FreeSized(o.p, o.size, o.align, false, CallFreeSized)
	default:
		d.h.Free(o.p, CallFree)
	}
	(*live)[i] = (*live)[len(*live)-1]
	*live = (*live)[:len(*live)-1]
}

// check verifies every object and the accounting, at rest.
func (d *differential) check() {
	d.t.Helper()
	held := units.Bytes(0)
	seen := map[uintptr]bool{}
	visit := func(o *object2) {
		require.False(d.t, seen[o.p], "%#x has two owners", o.p)
		seen[o.p] = true
		require.Equal(d.t, -1, intact(o.p, o.size, o.size, o.key))
		if !d.h.side.contains(o.p) {
			held += d.h.Usable(o.p)
		}
	}
	for g := range d.live {
		for i := range d.live[g] {
			visit(&d.live[g][i])
		}
	}
	for i := range d.trade {
		if o := d.trade[i].Load(); o != nil {
			visit(o)
		}
	}
	check(d.t, d.h, held)
	checkVCPUs(d.t, d.h)
}

// finish frees everything and checks that nothing stays behind.
func (d *differential) finish() {
	d.t.Helper()
	d.check()
	for g := range d.live {
		for _, o := range d.live[g] {
			d.h.Free(o.p, CallFree)
		}
	}
	for i := range d.trade {
		if o := d.trade[i].Load(); o != nil {
			d.h.Free(o.p, CallFree)
		}
	}
	check(d.t, d.h, 0)
	d.h.Trim()
	check(d.t, d.h, 0)
	var s Stats
	d.h.Stats(&s)
	require.Equal(d.t, s.Mapped, s.Unbacked)
	require.LessOrEqual(d.t, s.Side, units.Bytes(sideTable+chunkSize))
}

func TestThreadsNeverDisturbEachOthersObjects(t *testing.T) {
	for i, o := range []Options{{}, {Config: config.Config{Legacy: 0xff}}, {Config: config.Config{PerCPULimit: 256 << 10}}} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			coretest.Threads(t, 12)
			d := newDifferential(t, newHeap(t, o), 4)
			for range 3 {
				d.run(coretest.Long(6000))
				d.check()
			}
			d.finish()
		})
	}
}
