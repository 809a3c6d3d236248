package transfer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

func spans(k *Tier, c units.ClassID) (st centralfreelist.Stats) {
	k.Central.Stats(c, &st)
	return st
}

func forced(k *Tier, c units.ClassID) uint64  { return spans(k, c).Forced }
func crossed(k *Tier, c units.ClassID) uint64 { return spans(k, c).Crossed + stats(k, c).Crossed }

func TestACrossingIsForcedOnlyWhereTheDomainHasFreedTooLittle(t *testing.T) {
	k := newTier(t)
	k.Legacy = true
	divide(t, k, four)
	const c = 10
	a, b := fetch(t, k, c, 32), fetch(t, k, c, 32)
	insertOn(t, k, 0, c, a)
	insertOn(t, k, 2, c, b)
	require.Equal(t, b, removeOn(t, k, 0, c, 32), "from the top")
	require.EqualValues(t, 32, crossed(k, c))
	require.Zero(t, forced(k, c), "its own lay beneath")
	removeOn(t, k, 2, c, 32)
	require.EqualValues(t, 64, crossed(k, c))
	require.Zero(t, forced(k, c), "it had freed as many")

	insertOn(t, k, 0, c, a)
	removeOn(t, k, 2, c, 32)
	require.EqualValues(t, 96, crossed(k, c))
	require.EqualValues(t, 32, forced(k, c), "nobody else had any")
}

func TestForcedCrossingsAreTheLowestPointsOfTheDomainsBalances(t *testing.T) {
	for _, legacy := range []bool{true, false} {
		k := newTier(t)
		k.Legacy = legacy
		divide(t, k, four)
		const c = 10
		rng := coretest.Rand(t)
		var balance, low [4]int
		known := map[uintptr]bool{}
		held := [][]uintptr{fetch(t, k, c, 2000)}
		for range coretest.Long(4000) {
			d := rng.IntN(4)
			if len(held) > 0 && rng.IntN(2) == 0 {
				i := rng.IntN(len(held))
				batch := held[i]
				n := min(len(batch), 1+rng.IntN(centralfreelist.MaxBatch))
				if held[i] = batch[n:]; len(held[i]) == 0 {
					held = append(held[:i], held[i+1:]...)
				}
				insertOn(t, k, int32(2*d), c, batch[:n])
				balance[d] += n
				for _, p := range batch[:n] {
					known[p] = true
				}
			} else {
				before := stats(k, c).Reused + spans(k, c).Reused
				held = append(held, removeOn(t, k, int32(2*d), c, 1+rng.IntN(centralfreelist.MaxBatch)))
				n := int(stats(k, c).Reused + spans(k, c).Reused - before)
				reused := 0
				for _, p := range held[len(held)-1] {
					if known[p] {
						reused++
					}
				}
				require.LessOrEqual(t, reused, n)
				balance[d] -= n
				low[d] = min(low[d], balance[d])
			}
			if rng.IntN(100) == 0 {
				k.Plunder()
			}
		}
		want := 0
		for _, n := range low {
			want -= n
		}
		require.Positive(t, want)
		require.EqualValues(t, want, forced(k, c), "legacy %v", legacy)
		require.LessOrEqual(t, forced(k, c), crossed(k, c), "legacy %v", legacy)
	}
}
