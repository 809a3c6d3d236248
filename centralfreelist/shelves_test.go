package centralfreelist

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// takeAs takes n objects of class c in a domain.
func takeAs(t *testing.T, k *Tier, c units.ClassID, n int, domain uint32) (out []uintptr) {
	t.Helper()
	for len(out) < n {
		var buf [MaxBatch]uintptr
		got := k.Remove(0, c, buf[:], min(n-len(out), MaxBatch), domain)
		require.Positive(t, got)
		out = append(out, buf[:got]...)
	}
	return out
}

func giveAs(t *testing.T, k *Tier, c units.ClassID, objects []uintptr, domain uint32) {
	t.Helper()
	for len(objects) > 0 {
		n := min(len(objects), MaxBatch)
		require.Zero(t, k.Insert(0, c, objects[:n], domain))
		objects = objects[n:]
	}
}

// Domains that take and give in turns keep to their own spans, and nobody gets a new one while any has room.
func TestADomainTakesFromItsOwnSpansFirstAndFromAnyBeforeANewOne(t *testing.T) {
	for _, c := range []units.ClassID{1, 10, 39} {
		k := newTier(t, false)
		require.True(t, k.Divide(3, true))
		n := int(sizeclass.Objects(c))
		owner := map[units.SpanID]uint32{}
		var held [4][]uintptr
		for range 3 {
			for d := uint32(1); d <= 3; d++ {
				for _, p := range takeAs(t, k, c, n, d) {
					owner[k.Pages.SpanAt(p)] = d
					held[d] = append(held[d], p)
				}
			}
		}
		require.Len(t, owner, 9)
		for range 5 {
			given := 0
			for d := uint32(1); d <= 3; d++ {
				var keep, give []uintptr // of each span some of both
				for i, p := range held[d] {
					if i%2 == 0 {
						keep = append(keep, p)
					} else {
						give = append(give, p)
					}
				}
				giveAs(t, k, c, give, d)
				held[d], given = keep, len(give)
			}
			for d := uint32(1); d <= 3; d++ {
				for _, p := range takeAs(t, k, c, given, d) {
					require.Equal(t, d, owner[k.Pages.SpanAt(p)])
					held[d] = append(held[d], p)
				}
			}
			var st Stats
			k.Stats(c, &st)
			require.Zero(t, st.Crossed)
			require.Zero(t, st.Free)
		}
		giveAs(t, k, c, held[1][n/2:], 1)
		var before, after Stats
		k.Stats(c, &before)
		var buf [MaxBatch]uintptr
		require.Zero(t, k.RemoveOwn(0, c, buf[:], 1, 2))
		require.False(t, k.HasOwn(0, c, 2))
		takeAs(t, k, c, int(before.Free), 2)
		k.Stats(c, &after)
		require.Equal(t, before.Spans, after.Spans)
		require.Zero(t, after.Free)
	}
}

func TestASpanStandsForTheDomainThatGaveMostOfItsObjects(t *testing.T) {
	r := coretest.Rand(t)
	for range coretest.Long(1000) {
		most := uint8(1 + r.IntN(4))
		var s span.Span
		count := 0
		var all []uint8
		for i := range 61 { // 31 or more of them
			d := most
			if i < 30 {
				d = uint8(1 + r.IntN(4))
			}
			all = append(all, d)
			if d == most {
				count++
			}
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for len(all) > 0 {
			n := 1
			for n < len(all) && all[n] == all[0] {
				n++
			}
			if vote(&s, all[0], n) {
				s.Origin = all[0]
			}
			all = all[n:]
		}
		require.Equal(t, most, s.Origin, "%d of 61", count)
	}
}
