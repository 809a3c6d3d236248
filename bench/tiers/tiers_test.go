package tiers

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/telemetry"
)

func TestParseTimes(t *testing.T) {
	got, err := parseTimes("1.5 20 3.0 \n")
	require.NoError(t, err)
	assert.Equal(t, []float64{1.5, 20, 3}, got)
	_, err = parseTimes("1.5 wrong\n")
	assert.Error(t, err)
}

func TestSlowestAreTheMisses(t *testing.T) {
	times := []float64{5, 500, 6, 400, 5}
	assert.Equal(t, []float64{400, 500}, slowest(times, 2))
	assert.Len(t, slowest(times, 9), 5)
	assert.Equal(t, []float64{5, 500, 6, 400, 5}, times)
}

func TestClassIsTheSmallestThatHolds(t *testing.T) {
	s := &telemetry.Snapshot{Classes: []telemetry.Class{{Size: 48}, {Size: 64}, {Size: 80}}}
	assert.EqualValues(t, 64, class(s, 64).Size)
	assert.EqualValues(t, 64, class(s, 50).Size)
	assert.Zero(t, class(s, 100).Size)
}
