package proc

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOneRunsAtATime(t *testing.T) {
	l := launcher(t)
	count := Command{Argv: []string{"sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo $i"}, Sample: time.Second}
	out := l.RunInTurns(context.Background(), 10*time.Millisecond, []Command{count, {Argv: []string{"false"}}, count, {Argv: []string{"/nowhere"}}})
	require.Len(t, out, 4)
	for _, i := range []int{0, 2} {
		require.NoError(t, out[i].Err)
		assert.Equal(t, "200000\n", string(out[i].Result.Stdout))
		assert.Greater(t, len(out[i].from), 2, "it took several turns")
		assert.Len(t, out[i].Result.Memory.Looks, len(out[i].from)-2, "after each but the one it started in and the last")
		assert.Positive(t, out[i].Result.Memory.AvgRSS)
		assert.InDelta(t, (out[i].Result.User + out[i].Result.System).Seconds(), time.Duration(out[i].Ran(0, 1<<62)).Seconds(), 5)
	}
	assert.Error(t, out[1].Err)
	assert.Error(t, out[3].Err)
	for i, from := range out[0].from {
		assert.Zero(t, out[2].Ran(from, out[0].to[i]), "turns do not overlap")
	}
}

func TestCommandsInTurnsEndWithTheirContext(t *testing.T) {
	l := launcher(t)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	for _, o := range l.RunInTurns(ctx, 10*time.Millisecond, []Command{{Argv: []string{"sleep", "1000"}}, {Argv: []string{"sleep", "1000"}}}) {
		assert.Error(t, o.Err)
	}
	assert.Less(t, time.Since(start), 30*time.Second)
}

func TestRanCountsWhatLiesWithin(t *testing.T) {
	r := Turns{from: []int64{0, 20, 40}, to: []int64{10, 30, 50}}
	assert.EqualValues(t, 30, r.Ran(0, 100))
	assert.EqualValues(t, 15, r.Ran(5, 45)-5)
	assert.EqualValues(t, 4, r.Ran(22, 26))
	assert.Zero(t, r.Ran(10, 20))
}
