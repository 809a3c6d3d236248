package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/bench/cc"
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

func TestAProgramThatEndsIsNotAwaited(t *testing.T) {
	l := launcher(t)
	ctx := context.Background()
	never := func() error { return errors.New("no answer") }
	for name, want := range map[string]string{"echo no memory >&2; exit 3": "sh: exit status 3: no memory", "kill -SEGV $$": "sh: killed by signal 11", "true": "ended at once"} {
		p, err := l.Start(ctx, Command{Argv: []string{"sh", "-c", name}})
		require.NoError(t, err)
		start := time.Now()
		assert.ErrorContains(t, p.Await(ctx, time.Minute, never), want)
		assert.Less(t, time.Since(start), 30*time.Second)
	}
	p, err := l.Start(ctx, Command{Argv: []string{"sleep", "1000"}})
	require.NoError(t, err)
	assert.ErrorContains(t, p.Await(ctx, 30*time.Millisecond, never), "no answer")
	assert.Eventually(t, func() bool { return gone(p.PID) }, 10*time.Second, time.Millisecond)
}

func TestCancellingLeavesNothingBehind(t *testing.T) {
	l := launcher(t)
	ctx, cancel := context.WithCancel(context.Background())
	p, err := l.Start(ctx, Command{Argv: []string{"sh", "-c", "sleep 1000 & echo $!; wait"}})
	require.NoError(t, err)
	var child int
	require.Eventually(t, func() bool { c := descendants(p.PID); child = c[len(c)-1]; return child != p.PID }, 10*time.Second, time.Millisecond)
	cancel()
	_, err = p.Wait()
	assert.Error(t, err)
	assert.Eventually(t, func() bool { return gone(child) }, 10*time.Second, time.Millisecond, "its children too")
}

// gone, or waiting for an init that takes its time.
func gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(b, []byte(") Z "))
}

func launcher(t *testing.T) *Launcher {
	t.Helper()
	c := cc.Compiler{Source: "../load", Out: t.TempDir()}
	path, err := c.Program(context.Background(), "launch.c", "-static")
	if err != nil {
		t.Skip(err)
	}
	return &Launcher{Path: path}
}
