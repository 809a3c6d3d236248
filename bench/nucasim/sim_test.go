package nucasim

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/bench/fleet"
	"github.com/vcmalloc/vcmalloc/internal/config"
)

func hand(n, services int) (all []*fleet.Trace) {
	for i := range services {
		all = append(all, handOff(n, uint64(i)))
	}
	return all
}

func TestShardsKeepObjectsInTheirDomain(t *testing.T) {
	without, err := simulate(hand(60000, 6), packed, config.NUCA, 1)
	require.NoError(t, err)
	with, err := simulate(hand(60000, 6), packed, 0, 1) // a shard learns for a while what it needs
	require.NoError(t, err)
	require.Equal(t, without.own+without.near+without.far+without.cold, with.own+with.near+with.far+with.cold, "the same load")
	require.Positive(t, without.crossed)
	require.Less(t, with.crossed, without.crossed/2)
	require.Less(t, with.cost(), without.cost())
}

// Batches of objects that move and are never allocated are told as well, so the statistics may exceed the truth.
func TestTheStatisticsTellAboutAsManyCrossingsAsThereAre(t *testing.T) {
	for _, legacy := range []config.Features{0, config.NUCA} {
		o, err := simulate(hand(20000, 6), spread, legacy, 2)
		require.NoError(t, err)
		require.InEpsilon(t, o.crossed, o.told, 0.3)
	}
}

func TestTracesReadBack(t *testing.T) {
	a := handOff(10000, 3)
	path := filepath.Join(t.TempDir(), "a.trace")
	require.NoError(t, a.Save(path))
	b, err := fleet.Load(path)
	require.NoError(t, err)
	require.Equal(t, a, b)
}
