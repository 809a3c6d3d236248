package centralfreelist

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

func TestBandsOfLiveObjects(t *testing.T) {
	for a, want := range map[uint16]uint8{1: 0, 2: 1, 3: 1, 4: 2, 7: 2, 8: 3, 511: 8, 512: 9, 1023: 9, 1024: 10} {
		require.Equal(t, want, band(a), a)
	}
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		require.Less(t, band(uint16(sizeclass.Objects(c))), uint8(Bands))
	}
}

// What the lists count without looking at spans is what a look at every span at every snapshot finds.
func TestReturnRatesAreThoseOfAFullCount(t *testing.T) {
	r := coretest.Rand(t)
	m := newModel(t, false)
	classes := []units.ClassID{1, 2, 5, 25, 39, 60}
	var want [sizeclass.NumClasses]Returns
	at := map[units.SpanID]uint8{} // the band of each span at the last snapshot
	for i := range coretest.Long(4000) {
		c := classes[r.IntN(len(classes))]
		before := spansOut(m)
		if len(m.out[c]) > 1500 || r.IntN(2) == 0 {
			m.insert(c, 1+r.IntN(MaxBatch), r)
		} else {
			m.remove(c, 1+r.IntN(MaxBatch))
		}
		after := spansOut(m)
		for id, s := range before {
			if _, alive := after[id]; alive {
				continue
			}
			if b, seen := at[id]; seen {
				want[s.class].Gone[b]++
				delete(at, id)
			}
		}
		if i%37 == 0 {
			m.tier.Snapshot()
			clear(at)
			for id, s := range after {
				at[id] = band(s.live)
				want[s.class].Seen[band(s.live)]++
			}
		}
	}
	gone := uint64(0)
	for _, c := range classes {
		var got Returns
		m.tier.Returns(c, &got)
		require.Equal(t, want[c], got, "class %d", c)
		for b := range got.Gone {
			gone += got.Gone[b]
			require.LessOrEqual(t, got.Gone[b], got.Seen[b])
		}
		sum := uint32(0)
		for _, n := range m.tier.lists[c].now {
			sum += n
		}
		require.Equal(t, m.tier.lists[c].spans, sum)
	}
	require.Positive(t, gone)
}

type liveSpan struct {
	class units.ClassID
	live  uint16
}

// spansOut is the spans that objects are out of.
func spansOut(m *model) map[units.SpanID]liveSpan {
	out := map[units.SpanID]liveSpan{}
	for p, c := range m.live {
		id := m.tier.Pages.SpanAt(p)
		out[id] = liveSpan{c, out[id].live + 1}
	}
	return out
}

func TestRunsOfOneSpanAndSinglesGiveTheSameLists(t *testing.T) {
	for _, c := range []units.ClassID{1, 5, 25} {
		a, b := newModel(t, false), newModel(t, false)
		for _, m := range []*model{a, b} {
			for len(m.out[c]) < 3*int(sizeclass.Objects(c)) {
				m.remove(c, 1)
			}
		}
		for _, n := range []int{3, 1, 30, 17, 64} {
			n = min(n, len(a.out[c]))
			giveBack(a.tier, c, a.out[c][:n])
			a.out[c] = a.out[c][n:]
			for _, p := range b.out[c][:n] {
				giveBack(b.tier, c, []uintptr{p})
			}
			b.out[c] = b.out[c][n:]
			require.Equal(t, a.tier.lists[c].nonempty, b.tier.lists[c].nonempty)
			require.Equal(t, a.tier.lists[c].free, b.tier.lists[c].free)
			require.Equal(t, a.tier.lists[c].now, b.tier.lists[c].now)
		}
	}
}
