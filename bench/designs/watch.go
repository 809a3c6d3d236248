package designs

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
	"github.com/vcmalloc/vcmalloc/telemetry"
)

// parts of the heap that are fragmentation by tier.
var parts = []runner.Metric{
	{Name: "page heap free", Unit: "MiB", Direction: stat.Lower},
	{Name: "central free list", Unit: "MiB", Direction: stat.Lower},
	{Name: "per-CPU caches", Unit: "MiB", Direction: stat.Lower},
	{Name: "transfer caches", Unit: "MiB", Direction: stat.Lower},
}

func figures(t *telemetry.Totals) [4]float64 {
	const mib = 1 << 20
	return [4]float64{float64(t.PageHeapFree()) / mib, float64(t.Central) / mib, float64(t.PerCPU) / mib, float64(t.Transfer) / mib}
}

// watched has the case's runs publish their statistics, and averages them into metrics of its own.
func watched(c *runner.Case) {
	run := c.Run
	c.Metrics = append(slices.Clone(c.Metrics), parts...)
	c.Run = func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
		dir, err := os.MkdirTemp("", "vcb-stats-")
		if err != nil {
			return runner.Sample{}, err
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o777); err != nil { // PostgreSQL runs as another user
			return runner.Sample{}, err
		}
		s.Env = append(slices.Clone(s.Env), "VCMALLOC_STATS_DIR="+dir)
		quit, done := make(chan struct{}), make(chan map[string]float64, 1)
		go func() { done <- average(telemetry.Dir(dir), quit) }()
		sample, err := run(ctx, s)
		close(quit)
		for name, v := range <-done {
			if sample.Figures != nil {
				sample.Figures[name] = v
			}
		}
		return sample, err
	}
}

// average of the parts over time, summed over the processes, until quit. A process's first block is from its first
// allocation and says nothing: only later ones count.
func average(dir telemetry.Dir, quit <-chan struct{}) map[string]float64 {
	const every = 250 * time.Millisecond
	var sum [4]float64
	looks := 0
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			out := map[string]float64{}
			for i, p := range parts {
				if looks > 0 {
					out[p.Name] = sum[i] / float64(looks)
				}
			}
			return out
		case <-tick.C:
			processes, err := dir.Processes()
			if err != nil {
				continue
			}
			seen := false
			for _, p := range processes {
				if p.Snapshot == nil || p.Snapshot.Writes < 2 {
					continue
				}
				seen = true
				for i, v := range figures(&p.Snapshot.Totals) {
					sum[i] += v
				}
			}
			if seen {
				looks++
			}
		}
	}
}
