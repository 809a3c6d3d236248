package selfcheck

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// The whole way: generators compiled, started, measured and judged. Memory does not depend on how busy the
// machine is, so that verdict is checked; that of time only for being there.
func TestSelfCheckSmoke(t *testing.T) {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("no g++")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	root, err := lab.Root()
	require.NoError(t, err)
	l, err := lab.New(ctx, root, lab.Tiny)
	require.NoError(t, err)
	l.Work = t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(l.Work, "lib"), 0o755))
	l.Ours = subject.Glibc() // any library has two copies; ours may not be built
	suites, err := Suites(ctx, l)
	require.NoError(t, err)
	for i := range suites {
		suites[i].Plan.Rounds, suites[i].Plan.MinRounds = 3, 3
	}
	var r runner.Runner
	out, err := r.Run(ctx, suites)
	require.NoError(t, err)
	require.Len(t, out, 3)
	for _, s := range out {
		for _, c := range s.Cases {
			for name, e := range c.Failed {
				assert.Contains(t, e, "self-check:", "%s under %s", c.Name, name) // a verdict, not a crash
			}
			assert.Positive(t, c.Rounds)
		}
	}
	delay := out[0].Cases[0].Metric(nanos.Name).Versus["shim+20ns"]
	assert.Greater(t, delay.Diff.High, 10.0)
	assert.Empty(t, out[1].Cases[0].Failed)
	assert.InDelta(t, 1.2, out[1].Cases[0].Metric(grown.Name).Versus["shim+20%"].Ratio.Median, 0.005)
	require.NoError(t, (&report.Report{Suites: out}).Save(t.TempDir()))
}
