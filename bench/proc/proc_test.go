package proc

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseDone(t *testing.T) {
	r, err := parseDone("done 0 24686839 24354 1000 3340 173 2 1 3 - - - - -")
	require.NoError(t, err)
	assert.Equal(t, 24686839*time.Nanosecond, r.Wall)
	assert.Equal(t, 24354*time.Microsecond, r.User)
	assert.Equal(t, 3340.0*1024, r.PeakRSS)
	assert.Equal(t, 173.0, r.Minor)
	assert.Nil(t, r.Counters, "a machine without counters")

	r, err = parseDone("done 0 1 1 1 1 1 1 1 1 1000 500 - 7 -")
	require.NoError(t, err)
	require.NotNil(t, r.Counters)
	assert.Equal(t, 1000.0, r.Counters.Cycles)
	assert.True(t, math.IsNaN(r.Counters.LLCLoads))
	assert.Equal(t, 7.0, r.Counters.LLCMisses)

	_, err = parseDone("")
	assert.Error(t, err)
}

func TestParseRollup(t *testing.T) {
	l := ParseRollup([]byte("5578225da000-7ffd64f6b000 ---p 00000000 00:00 0    [rollup]\nRss:                1712 kB\nPss:                 221 kB\n" +
		"Anonymous:            112 kB\nAnonHugePages:         64 kB\nVmFlags: rd wr\n"))
	assert.Equal(t, Look{RSS: 1712 << 10, Shared: 221 << 10, Anon: 112 << 10, Huge: 64 << 10}, l)
}

func TestMemoryAveragesLooks(t *testing.T) {
	m := summarise([]Look{{RSS: 10, Anon: 8, Huge: 4}, {RSS: 30, Anon: 16, Huge: 8}})
	assert.Equal(t, 20.0, m.AvgRSS)
	assert.Equal(t, 30.0, m.PeakRSS)
	assert.Equal(t, 0.5, m.Coverage)
	assert.True(t, math.IsNaN(summarise(nil).AvgRSS), "no look, no figure")
}
