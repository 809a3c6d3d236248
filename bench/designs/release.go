package designs

import (
	"context"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/work"
	"github.com/vcmalloc/vcmalloc/telemetry"
)

// release asks what it costs that free memory goes back by itself while the load goes on.
var release = Design{
	Name: "release", Features: "+all", Title: "Giving memory back under load",
	Before:  Side{Name: "never", Features: "+all", Env: []string{"VCMALLOC_RELEASE=none"}},
	Columns: []Column{{"released, MiB/s", beforeAfter(releaseMetrics[0].Name)}, {"page faults", beforeAfter(lab.Faults.Name)}},
	OnlyOwn: true,
	Cases: func(_ context.Context, l *lab.Lab) ([]runner.Case, error) {
		n := lab.Pick(l.Size, 6000000, 1500000, 5000)
		out := []runner.Case{
			work.Sessions(l, "steady load", n/2, 0),
			work.Sessions(l, "load swings often", n, n/10),
			work.Sessions(l, "load swings slowly", n, n/2),
		}
		for i := range out {
			out[i].NoWarmup = true
		}
		return out, nil
	},
}

// released is how fast memory is given back to the system.
var released = Instrument{
	Metrics: releaseMetrics,
	Watch: func() Watcher {
		return &Rate{Metrics: releaseMetrics, Of: func(s *telemetry.Snapshot) []float64 { return []float64{float64(s.Totals.ReleasedBytes) / mib} }}
	},
}

var releaseMetrics = []runner.Metric{{Name: "released", Unit: "MiB/s", Direction: stat.Neutral}}
