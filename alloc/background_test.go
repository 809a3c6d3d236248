package alloc

import (
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// How long each step of the background work keeps its goroutine pinned, under a load of all sizes by as many goroutines and
// Ps as VCMTEST_PINS says: run by hand, on an idle machine, it reports and proves nothing.
func TestReportPins(t *testing.T) {
	ps, err := strconv.Atoi(os.Getenv("VCMTEST_PINS"))
	if err != nil {
		t.Skip("set VCMTEST_PINS=2 and read what -v prints")
	}
	require.NoError(t, start())
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(ps))
	var done atomic.Bool
	var wg sync.WaitGroup
	for g := range ps {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			live := make([]unsafe.Pointer, 4000)
			for !done.Load() {
				for range 2000 {
					i := r.IntN(len(live))
					Free(live[i])
					live[i], _ = Malloc(uintptr(r.IntN(1 << (3 + r.IntN(14)))))
				}
				time.Sleep(time.Millisecond)
			}
			FreeBatch(live)
		})
	}
	took := map[uint32][]time.Duration{}
	var whole []time.Duration
	for i := range 200 {
		time.Sleep(20 * time.Millisecond)
		now, sum := sys.Now()+int64(i+1)*1e9, time.Duration(0)
		for n := uint32(0); ; n++ {
			before := time.Now()
			more := backgroundStep(now, n)
			d := time.Since(before)
			took[n] = append(took[n], d)
			sum += d
			if !more {
				break
			}
		}
		whole = append(whole, sum)
	}
	done.Store(true)
	wg.Wait()
	line := func(name any, d []time.Duration) {
		slices.Sort(d)
		t.Logf("%v: median %v, 90 %% %v, 99 %% %v, most %v", name, d[len(d)/2], d[len(d)*9/10], d[len(d)*99/100], d[len(d)-1])
	}
	for n := range uint32(len(took)) {
		line(n, took[n])
	}
	line("all", whole)
}

// Whatever step a tick has come to, all of its steps are taken, in order, once.
func TestStepsOfATickAddUp(t *testing.T) {
	require.NoError(t, start())
	now := sys.Now() + 2e9
	n := uint32(0)
	for ; backgroundStep(now, n); n++ {
		require.Less(t, n, uint32(100))
	}
	require.Greater(t, n, uint32(5))
	require.False(t, backgroundStep(now, 0), "nothing is due twice")
}
