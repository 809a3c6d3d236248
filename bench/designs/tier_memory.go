package designs

import (
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/telemetry"
)

// tierMemory is the fragmentation by tier, averaged over time, and how often spans become empty.
var tierMemory = Instrument{
	Metrics: append(append([]runner.Metric{}, tierMetrics...), spanMetrics...),
	Watch: func() Watcher {
		return both{
			&Mean{Metrics: tierMetrics, Of: func(s *telemetry.Snapshot) []float64 {
				t := &s.Totals
				return []float64{float64(t.PageHeapFree()) / mib, float64(t.Central) / mib, float64(t.PerCPU) / mib, float64(t.Transfer) / mib}
			}},
			&Rate{Metrics: spanMetrics, Of: func(s *telemetry.Snapshot) []float64 { return []float64{float64(s.Totals.SpansFreed)} }},
		}
	},
}

var (
	tierMetrics = []runner.Metric{
		{Name: "page heap free", Unit: "MiB", Direction: stat.Lower},
		{Name: "central free list", Unit: "MiB", Direction: stat.Lower},
		{Name: "per-CPU caches", Unit: "MiB", Direction: stat.Lower},
		{Name: "transfer caches", Unit: "MiB", Direction: stat.Lower},
	}
	spanMetrics = []runner.Metric{{Name: "spans returned", Unit: "/s", Direction: stat.Neutral}}
)
