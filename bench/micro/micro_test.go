package micro

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/bench/lab"
)

func TestPointsHaveNamesOfTheirOwn(t *testing.T) {
	for _, size := range []lab.Size{lab.Full, lab.Quick, lab.Tiny} {
		seen := map[string]bool{}
		for _, p := range points(size) {
			assert.False(t, seen[p.name()], p.name())
			seen[p.name()] = true
		}
		assert.NotEmpty(t, seen)
	}
}

func TestFullCoversTheIssuesSizesAndThreads(t *testing.T) {
	have := map[string]bool{}
	for _, p := range points(lab.Full) {
		have[p.name()] = true
	}
	for _, want := range []string{"pair 8 B", "pair 4 MiB", "order 4 MiB", "shuffle 8 B", "mixed, 1 thread", "mixed, 64 threads", "realloc 16 MiB",
		"pair 128 B, 16 threads", "pair mixed sizes", "pair mixed sizes, 2 threads", "cross 64 B, 1+1", "cross mixed sizes, 32+32"} {
		assert.True(t, have[want], want)
	}
}

func TestParseCollected(t *testing.T) {
	n, err := parseCollected([]byte("==1== Events    : Ir\n==1== Collected : 1859897\n"))
	require.NoError(t, err)
	assert.Equal(t, 1859897.0, n)
	_, err = parseCollected([]byte("valgrind: failed"))
	assert.Error(t, err)
}
