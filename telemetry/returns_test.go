package telemetry

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/pageheap"
	"github.com/vcmalloc/vcmalloc/telemetry/block"
	"github.com/vcmalloc/vcmalloc/transfer"
)

func TestSpearmanRanksWithTies(t *testing.T) {
	assert.InDelta(t, 1, spearman([]float64{1, 2, 3, 9}, []float64{5, 6, 70, 71}), 1e-12)
	assert.InDelta(t, -1, spearman([]float64{1, 2, 3}, []float64{9, 4, 1}), 1e-12)
	assert.InDelta(t, 0.9486832980505138, spearman([]float64{1, 2, 3, 4}, []float64{1, 2, 2, 4}), 1e-12)
	assert.True(t, math.IsNaN(spearman([]float64{1, 1}, []float64{1, 2})))
}

func TestBlockHasRoomForTheTiersNumbers(t *testing.T) {
	assert.Equal(t, centralfreelist.Bands, block.Bands)
	assert.Equal(t, transfer.MaxDomains, block.MaxDomains)
	assert.Equal(t, pageheap.MaxNodes, block.MaxNodes)
}

func TestNodesAreShownWhereThereAreSeveral(t *testing.T) {
	b := sample(5)
	b.Nodes = 1
	b.Node[0] = block.Node{Kernel: 3, CPUs: 4, Mapped: 99}
	assert.Empty(t, snapshot(t, b).Nodes)
	b.Nodes = 2
	b.Node[1] = block.Node{Kernel: 7, CPUs: 4, Mapped: 96 << 20, Spans: 64 << 20, Free: 31 << 20, Empty: 1 << 20, SpansAllocated: 9,
		Near: 4711, Far: 8, Home: 1234}
	s := snapshot(t, b)
	require.Len(t, s.Nodes, 2)
	assert.Equal(t, 3, s.Nodes[0].ID)
	assert.Equal(t, Node{ID: 7, CPUs: 4, Mapped: 96 << 20, Spans: 64 << 20, Free: 31 << 20, Unbacked: 1 << 20, SpansAllocated: 9,
		Near: 4711, Far: 8, Home: 1234}, s.Nodes[1])
	var out bytes.Buffer
	require.NoError(t, WriteText(&out, &Process{PID: 5, Snapshot: s}))
	for _, want := range []string{"NUMA node", "96 MiB", "4711", "1234"} {
		assert.Contains(t, out.String(), want)
	}
	b.Nodes = block.MaxNodes + 1
	assert.ErrorIs(t, header(b), ErrFormat)
}

func TestBandsDomainsAndCrossingsAreShown(t *testing.T) {
	b := sample(5)
	b.Domains = 2
	b.Domain[0] = block.Domain{Open: 1, CPUs: 4, Bytes: 2048, Hits: 70, Misses: 7}
	b.Total.Reused, b.Total.Crossed, b.Total.Forced = 400, 100, 60
	b.Class[2].Reused, b.Class[2].Crossed = 400, 100
	b.Return[2].Seen = [block.Bands]uint64{0: 10, 3: 40}
	b.Return[2].Gone = [block.Bands]uint64{0: 5, 3: 1}
	b.Return[3].Seen = [block.Bands]uint64{1: 8, 3: 60}
	s := snapshot(t, b)
	require.Len(t, s.Domains, 2)
	assert.Equal(t, Domain{ID: 0, Open: true, CPUs: 4, Bytes: 2048, Hits: 70, Misses: 7}, s.Domains[0])
	assert.Equal(t, []Band{{Least: 1, Most: 1, Seen: 10, Gone: 5}, {Least: 8, Most: 15, Seen: 40, Gone: 1}}, s.Classes[1].Bands)
	assert.Equal(t, []Band{{1, 1, 10, 5}, {2, 3, 8, 0}, {8, 15, 100, 1}}, s.ReturnBands())
	assert.InDelta(t, 0.25, s.Totals.CrossedShare(), 1e-12)
	assert.InDelta(t, 0.1, s.Totals.AvoidableShare(), 1e-12)

	var out bytes.Buffer
	require.NoError(t, WriteText(&out, &Process{PID: 5, Snapshot: s}))
	for _, want := range []string{"100 of 400 objects (25.00 %), of which at least 60 had to", "own caches", "8-15", "50.00 %"} {
		assert.Contains(t, out.String(), want)
	}
}
