package designs

import (
	"github.com/vcmalloc/vcmalloc/bench/report"
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
			var out []float64
			for _, b := range []uint64{t.FillerUsed, t.RegionUsed, t.WholeUsed(), t.FillerFree - min(t.RegionFree, t.FillerFree), t.RegionFree, t.Cache, t.FillerReleased} {
				out = append(out, float64(b)/mib)
			}
			return out
		}}
	},
}

// In use by the application and the tiers above, then free and backed: what the paper calls fragmentation. Spans of a
// hugepage and more are what the paper's hugepage cache has in use.
var pageMetrics = []runner.Metric{
	{Name: "filler in use", Unit: "MiB", Direction: stat.Neutral},
	{Name: "region in use", Unit: "MiB", Direction: stat.Neutral},
	{Name: "whole hugepages in use", Unit: "MiB", Direction: stat.Neutral},
	{Name: "filler free", Unit: "MiB", Direction: stat.Lower},
	{Name: "region free", Unit: "MiB", Direction: stat.Lower},
	{Name: "hugepage cache", Unit: "MiB", Direction: stat.Lower},
	{Name: "filler released", Unit: "MiB", Direction: stat.Neutral},
}

// breakdown is Fig. 5.15 in figures: medians, before and after.
func breakdown(s *report.Suite, d *Design) report.Table {
	t := report.Table{
		Title:  "Fig. 5.15: the page heap by part",
		About:  "MiB on average over the run, " + s.Baseline + " -> " + d.Name + ", medians. Free is memory that is backed and unused: fragmentation.",
		Header: []string{"workload"},
	}
	for _, m := range pageMetrics {
		t.Header = append(t.Header, m.Name)
	}
	for _, c := range s.Cases {
		row := []string{c.Name}
		for _, m := range pageMetrics {
			row = append(row, beforeAfter(m.Name)(c, s.Baseline, d.Name))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
