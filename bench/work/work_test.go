package work

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBenchmarkRateIsAllOperationsByAllTime(t *testing.T) {
	got, err := benchmarkRate([]byte("warning\n\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"100.00\",\"1\"\n\"GET\",\"300.00\",\"1\"\n"))
	require.NoError(t, err)
	assert.InDelta(t, 150, got, 1e-9)
	_, err = benchmarkRate([]byte("Could not connect"))
	assert.Error(t, err)
}

func TestInfoField(t *testing.T) {
	assert.Equal(t, 123.0, infoField([]byte("# Memory\r\nused_memory:123\r\nused_memory_rss:456\r\n"), "used_memory"))
	assert.True(t, math.IsNaN(infoField(nil, "used_memory")))
}

func TestMixedValuesAreRecognised(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	filler := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	for i := range 1000 {
		v := mixedValue(rng, filler, 7, i, 1000)
		assert.True(t, isMixedValue(v, filler, 7))
		assert.False(t, isMixedValue(v, filler, 8))
		assert.LessOrEqual(t, len(v), len(filler))
	}
	v := mixedValue(rng, filler, 7, 0, 1000)
	v[len(v)-1]++
	assert.False(t, isMixedValue(v, filler, 7), "one byte of it changed")
}

func TestTheGeneratedSourceIsAlwaysTheSame(t *testing.T) {
	assert.Equal(t, cxxSource(2), cxxSource(2))
	assert.Contains(t, cxxSource(2), "int use1(")
}
