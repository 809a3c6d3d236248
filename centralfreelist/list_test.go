package centralfreelist

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

func TestListsDoNotShareCacheLines(t *testing.T) {
	require.Zero(t, unsafe.Sizeof(list{})%128, "a pair of lines is what the processor prefetches")
}

func TestRandomInsertAndRemoveKeepTheInvariants(t *testing.T) {
	for i := range 6 {
		r := coretest.Rand(t)
		m := newModel(t, i%2 == 1)
		m.hints = uint32(i%3) * 3 / 2
		m.addNodes(1 + uint32(i/2%2)*3)
		if i > 2 {
			require.True(t, m.tier.Divide(3, true))
		}
		for i := range coretest.Long(6000) {
			c := units.ClassID(1 + r.IntN(sizeclass.NumClasses-1))
			if i%3 != 0 { // mostly few classes, so that spans fill and empty
				c = []units.ClassID{1, 2, 3, 10, 25, 39, 87}[r.IntN(7)]
			}
			if len(m.out[c]) > 2000 || r.IntN(2) == 0 {
				m.insert(c, 1+r.IntN(MaxBatch), r)
			} else {
				m.remove(c, 1+r.IntN(MaxBatch))
			}
			if i%500 == 0 {
				m.check()
			}
		}
		m.check()
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			for len(m.out[c]) > 0 {
				m.insert(c, MaxBatch, r)
			}
		}
		m.check() // nothing out: no span lives
	}
}

func TestObjectsOfASpanAreDistinctAndAllOfIt(t *testing.T) {
	m := newModel(t, false)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		for len(m.out[c]) < int(sizeclass.Objects(c)) {
			m.remove(c, min(MaxBatch, int(sizeclass.Objects(c))-len(m.out[c])))
		}
		id := m.tier.Pages.SpanAt(m.out[c][0])
		base := m.tier.Pages.Addr(id)
		for _, p := range m.out[c] {
			require.Equal(t, id, m.tier.Pages.SpanAt(p))
			require.True(t, sizeclass.Divides(c, p-base))
		}
		var st Stats
		m.tier.Stats(c, &st)
		require.EqualValues(t, 1, st.Spans)
		require.Zero(t, st.Free)
	}
	m.check()
}

func TestRemoveMakesAsManySpansAsItNeeds(t *testing.T) {
	for _, c := range []units.ClassID{3, 34, 50, 60} {
		m := newModel(t, false)
		m.remove(c, 1) // a hugepage is in use
		free := int(sizeclass.Objects(c)) - 1
		n := min(MaxBatch, pageheap.MaxBatch*int(sizeclass.Objects(c)))
		m.remove(c, n)
		var st Stats
		m.tier.Stats(c, &st)
		require.EqualValues(t, 1+(max(n-free, 0)+free)/(free+1), st.Spans, "class %d", c)
		require.EqualValues(t, int(st.Spans)*(free+1)-n-1, st.Free)
		m.check()
	}
}

// spansOf returns three spans of class c with many, some and few objects out, and all objects by span.
func spansOf(m *model, c units.ClassID, out ...int) []units.SpanID {
	n := int(sizeclass.Objects(c))
	for len(m.out[c]) < n*len(out) {
		m.remove(c, 1)
	}
	by := map[units.SpanID][]uintptr{}
	var ids []units.SpanID
	for _, p := range m.out[c] {
		id := m.tier.Pages.SpanAt(p)
		if by[id] == nil {
			ids = append(ids, id)
		}
		by[id] = append(by[id], p)
	}
	require.Len(m.t, ids, len(out))
	m.out[c] = nil
	for i, id := range ids {
		for _, p := range by[id][out[i]:] {
			one := [1]uintptr{p}
			require.Zero(m.t, giveBack(m.tier, c, one[:]))
			delete(m.live, p)
		}
		m.out[c] = append(m.out[c], by[id][:out[i]]...)
	}
	return ids
}

func TestAllocationComesFromTheFullestSpan(t *testing.T) {
	for _, c := range []units.ClassID{5, 25} { // 128 objects a span, and 16
		for _, out := range [][]int{{2, 14, 6}, {14, 2, 6}, {6, 2, 14}} {
			m := newModel(t, false)
			ids := spansOf(m, c, out...)
			n := int(sizeclass.Objects(c))
			order := []int{14, 6, 2}
			for _, want := range order {
				for i, id := range ids {
					if out[i] != want {
						continue
					}
					for range n - want {
						before := len(m.out[c])
						m.remove(c, 1)
						require.Equal(t, id, m.tier.Pages.SpanAt(m.out[c][before]), "out %v, class %d", out, c)
					}
				}
			}
			m.check()
		}
	}
}

func TestLegacyModeKeepsOneListLastTouchedFirst(t *testing.T) {
	m := newModel(t, true)
	const c = 5
	ids := spansOf(m, c, 2, 100, 40)
	// All three went from full to not full in this order; the last stands first, however empty.
	require.EqualValues(t, 1, m.tier.lists[c].nonempty)
	for i := len(ids) - 1; i >= 0; i-- {
		before := len(m.out[c])
		m.remove(c, 1)
		require.Equal(t, ids[i], m.tier.Pages.SpanAt(m.out[c][before]))
		for !m.tier.Pages.Span(ids[i]).Full() {
			m.remove(c, 1)
		}
	}
	m.check()
}

func TestBadPointersAreReportedAndLeftAlone(t *testing.T) {
	for _, c := range []units.ClassID{3, 10, 25, 40, 60, 80} {
		m := newModel(t, false)
		for range 3 {
			m.remove(c, int(min(sizeclass.Objects(c), 3)))
		}
		size := sizeclass.Size(c)
		good := m.out[c][0]
		// Interior, of another class, on no page, and twice: each in a batch with good ones behind.
		for _, bad := range []uintptr{good + 1, good + 8, good + size - 1} {
			one := [1]uintptr{bad}
			require.Equal(t, bad, giveBack(m.tier, c, one[:]))
			require.Equal(t, bad, giveBack(m.tier, c+1, one[:]))
		}
		other := [1]uintptr{good}
		require.Equal(t, good, giveBack(m.tier, c+1, other[:]))
		m.check()

		require.Greater(t, len(m.out[c]), 1)
		twice := [3]uintptr{good, good, m.out[c][1]}
		require.Equal(t, good, giveBack(m.tier, c, twice[:]))
		delete(m.live, good)
		delete(m.live, m.out[c][1])
		m.out[c] = m.out[c][2:]
		m.check()
		require.Equal(t, good, giveBack(m.tier, c, other[:]), "a page that was given back, or an object that lies free")
		m.check()
	}
}

func TestIsFreeKnowsWhatLiesInSpans(t *testing.T) {
	r := coretest.Rand(t)
	for _, c := range []units.ClassID{1, 2, 3, 25, 60} {
		m := newModel(t, false)
		for len(m.out[c]) < int(sizeclass.Objects(c))*2 {
			m.remove(c, 1)
		}
		held := m.out[c][:1:1] // keeps its span
		m.out[c] = m.out[c][1:]
		freed := append([]uintptr(nil), m.out[c]...)
		r.Shuffle(len(freed), func(i, j int) { freed[i], freed[j] = freed[j], freed[i] })
		id := m.tier.Pages.SpanAt(held[0])
		for i, p := range freed {
			if m.tier.Pages.SpanAt(p) != id {
				continue
			}
			require.False(t, m.tier.IsFree(c, id, p))
			require.Zero(t, giveBack(m.tier, c, freed[i:i+1]))
			require.True(t, m.tier.IsFree(c, id, p))
		}
		require.False(t, m.tier.IsFree(c, id, held[0]))
		require.False(t, m.tier.IsFree(c+1, id, freed[0]), "another class")
	}
}

func TestOutOfMemoryReturnsWhatThereIs(t *testing.T) {
	k := &Tier{}
	require.True(t, k.Pages.Init(pageheap.Options{Seed: rand.Uint64(), MaxBytes: 4 << units.HugePageShift}))
	t.Cleanup(k.Pages.Unmap)
	const c = 87
	var all []uintptr
	for {
		var buf [MaxBatch]uintptr
		n := k.Remove(0, c, buf[:], 3, 0)
		if n == 0 {
			break
		}
		all = append(all, buf[:n]...)
	}
	require.Len(t, all, 4<<units.HugePageShift>>18)
	var st Stats
	k.Stats(c, &st)
	require.EqualValues(t, len(all), st.Spans)
	for len(all) > 0 {
		n := min(len(all), MaxBatch)
		require.Zero(t, giveBack(k, c, all[:n]))
		all = all[n:]
	}
	var one [1]uintptr
	require.Equal(t, 1, k.Remove(0, 3, one[:], 1, 0))
}

func TestConcurrentUseLosesAndDoublesNothing(t *testing.T) {
	for _, nodes := range []uint32{1, 2} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) { useConcurrently(t, nodes) })
	}
}

func useConcurrently(t *testing.T, nodes uint32) {
	coretest.Threads(t, 8)
	m := newModel(t, false)
	m.addNodes(nodes)
	k := m.tier
	classes := []units.ClassID{1, 2, 3, 25, 39, 70}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var out atomic.Int64
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := rand.New(rand.NewPCG(seed, uint64(g)))
			var held [sizeclass.NumClasses][]uintptr
			stamp := func(p uintptr, v uint64) *uint64 {
				w := (*uint64)(unsafe.Add(nil, p))
				if v != 0 && *w != v {
					t.Errorf("%#x changed hands", p)
				}
				return w
			}
			for range coretest.Long(20000) {
				c := classes[r.IntN(len(classes))]
				var buf [MaxBatch]uintptr
				if r.IntN(2) == 0 && len(held[c]) < 500 {
					n := k.Remove(uint32(r.IntN(int(nodes))), c, buf[:], 1+r.IntN(MaxBatch), 0)
					for _, p := range buf[:n] {
						*stamp(p, 0) = uint64(p) ^ uint64(g+1)<<56
					}
					held[c] = append(held[c], buf[:n]...)
					continue
				}
				r.Shuffle(len(held[c]), func(i, j int) { held[c][i], held[c][j] = held[c][j], held[c][i] })
				n := copy(buf[:], held[c][:min(len(held[c]), r.IntN(MaxBatch))])
				held[c] = held[c][n:]
				for _, p := range buf[:n] {
					stamp(p, uint64(p)^uint64(g+1)<<56)
				}
				if bad := giveBack(k, c, buf[:n]); bad != 0 {
					t.Errorf("%#x refused", bad)
				}
			}
			for c := range held {
				out.Add(int64(len(held[c])))
				for ; len(held[c]) > 0; held[c] = held[c][1:] {
					if bad := giveBack(k, units.ClassID(c), held[c][:1]); bad != 0 {
						t.Errorf("%#x refused", bad)
					}
				}
			}
		})
	}
	wg.Wait()
	require.Positive(t, out.Load())
	require.Empty(t, k.Pages.Check())
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		var st Stats
		k.Stats(c, &st)
		require.Zero(t, st.Spans)
		require.Zero(t, st.Free)
	}
}
