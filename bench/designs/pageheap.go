package designs

import (
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/telemetry"
)

// pageHeap is the page heap's memory by part, averaged over time (Fig. 5.15).
var pageHeap = Instrument{
	Metrics: pageMetrics,
	Bars:    "the page heap's memory by part (Fig. 5.15)",
	Watch: func() Watcher {
		return &Mean{Metrics: pageMetrics, Of: func(s *telemetry.Snapshot) []float64 {
			t := &s.Totals
			inUse := t.Mapped - t.FillerFree - t.FillerReleased - t.Cache - t.Unbacked
			return []float64{float64(inUse) / mib, float64(t.FillerFree) / mib, float64(t.FillerReleased) / mib, float64(t.Cache) / mib}
		}}
	},
}

var pageMetrics = []runner.Metric{
	{Name: "pages in use", Unit: "MiB", Direction: stat.Neutral},
	{Name: "filler free", Unit: "MiB", Direction: stat.Lower},
	{Name: "filler released", Unit: "MiB", Direction: stat.Neutral},
	{Name: "hugepage cache", Unit: "MiB", Direction: stat.Lower},
}
