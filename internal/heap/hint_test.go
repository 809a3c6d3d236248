package heap

import (
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// Every size, every alignment and every hint, beside objects without one: spans are of one hint, and hugepages of one
// set, to the last object.
func TestHintedObjectsNeverShareASpan(t *testing.T) {
	r := coretest.Rand(t)
	h := newHeap(t, Options{})
	hints := map[units.SpanID]pageheap.Hint{}
	sets := map[units.HugePageID]bool{} // true: cold
	var live []object2
	for _, size := range sizesOfInterest() {
		for hint := range pageheap.Hint(pageheap.Hints) {
			for range 2 {
				o := object2{size: size, align: 1 << r.IntN(13), hint: hint, key: r.Uint64()}
				o.p, _ = h.Hinted(size, o.align, hint)
				require.Zero(t, o.p%max(o.align, 16))
				require.GreaterOrEqual(t, h.Usable(o.p), size)
				require.Equal(t, hint, h.Hint(o.p))
				fill(o.p, size, o.key)
				live = append(live, o)
				id := h.pages().SpanAt(o.p)
				if known, ok := hints[id]; ok {
					require.Equal(t, known, hint)
				}
				hints[id] = hint
				hp := h.pages().Span(id).First.Huge()
				if cold, ok := sets[hp]; ok && size < units.HugePageSize/2 {
					require.Equal(t, cold, hint == pageheap.HintCold, "%d bytes", size)
				}
				sets[hp] = hint == pageheap.HintCold
			}
		}
	}
	var s Stats
	h.Stats(&s)
	require.Positive(t, min(s.Pages.Short, s.Pages.Long, s.Pages.Cold))
	r.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
	for i, o := range live {
		require.Negative(t, intact(o.p, o.size, o.size, o.key))
		if i%2 == 0 {
			h.FreeSized(o.p, o.size, o.align, false, CallFreeSized)
		} else {
			h.Free(o.p, CallFree)
		}
	}
	check(t, h, 0)
	h.Stats(&s)
	require.Zero(t, s.Pages.Short+s.Pages.Long+s.Pages.Cold, "a freed object with a hint leaves nothing behind")
}

func TestAHintSurvivesRealloc(t *testing.T) {
	h := newHeap(t, Options{})
	for hint := range pageheap.Hint(pageheap.Hints) {
		key := rand.Uint64()
		p, _ := h.Hinted(10, 1, hint)
		size := units.Bytes(10)
		fill(p, size, key)
		for _, n := range []units.Bytes{100, 3000, 200 << 10, 300 << 10, 5 << 20, 400 << 10, 70, 1} {
			q := h.Realloc(p, n, CallRealloc)
			require.Negative(t, intact(q, min(n, size), size, key))
			require.Equal(t, hint, h.Hint(q))
			p, size = q, n
			fill(p, size, key)
		}
		h.Free(p, CallFree)
	}
	check(t, h, 0)
}

func TestMisuseOfAHintedObjectIsReported(t *testing.T) {
	h := newHeap(t, reporting())
	for c := units.ClassID(2); c < sizeclass.NumClasses; c++ {
		size := sizeclass.Size(c)
		p, _ := h.Hinted(size, 1, pageheap.HintCold)
		keep, _ := h.Hinted(size, 1, pageheap.HintCold)
		line := stderrOf(t, func() { h.Free(p+8, CallFree) })
		require.Contains(t, line, "interior pointer: 8 bytes into the object", "%d bytes", size)
		line = stderrOf(t, func() { h.FreeSized(p, 4*size, 0, false, CallFreeSized) })
		require.Contains(t, line, "size mismatch", "%d bytes", size)
		h.Free(p, CallFree)
		line = stderrOf(t, func() { h.Free(p, CallFree) })
		require.Contains(t, line, "double free", "%d bytes", size)
		require.Equal(t, 1, strings.Count(line, "\n"))
		check(t, h, size)
		h.Free(keep, CallFree)
		check(t, h, 0)
	}
}

// Threads that hand hinted objects to each other, while forks come and go: contents and books hold.
func TestHintedObjectsOfManyThreads(t *testing.T) {
	coretest.Threads(t, 12)
	h := newHeap(t, Options{})
	seed := coretest.Seed(t)
	trade := make(chan object2, 64)
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := rand.New(rand.NewPCG(seed, g))
			for i := range coretest.Long(3000) {
				o := object2{size: units.Bytes(r.IntN(1 << r.IntN(15))), key: uint64(i)<<8 | g, hint: pageheap.Hint(r.IntN(pageheap.Hints))}
				o.p, _ = h.Hinted(o.size, 1, o.hint)
				fill(o.p, o.size, o.key)
				if g == 0 && i%100 == 0 {
					h.ForkBegin(0)
					h.ForkParent()
				}
				select {
				case trade <- o:
					continue
				case other := <-trade:
					verifyAndFree(t, h, other)
				}
				verifyAndFree(t, h, o)
			}
		})
	}
	wg.Wait()
	close(trade)
	for o := range trade {
		verifyAndFree(t, h, o)
	}
	p := h.Malloc(1) // frees what waited for a fork's end
	h.Free(p, CallFree)
	check(t, h, 0)
}

func verifyAndFree(t *testing.T, h *Heap, o object2) {
	if at := intact(o.p, o.size, o.size, o.key); at >= 0 {
		t.Errorf("byte %d of the %d at %#x changed", at, o.size, o.p)
	}
	h.Free(o.p, CallFree)
}

// A heap whose limit forbids the lists of a hint still serves; then as without one.
func TestHintsUnderTheHardLimit(t *testing.T) {
	h := newHeap(t, Options{})
	h.SetLimits(24<<20, 24<<20)
	var live []uintptr
	for {
		p, _ := h.Hinted(5000, 1, pageheap.HintCold)
		if p == 0 {
			break
		}
		live = append(live, p)
		require.Less(t, len(live), 24<<20/5000)
	}
	require.Greater(t, len(live), 12<<20/5000)
	for _, p := range live {
		h.Free(p, CallFree)
	}
	check(t, h, 0)
	require.NotZero(t, h.Malloc(16<<20))
}
