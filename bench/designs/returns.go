package designs

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/telemetry"
)

// spanReturns is how likely spans are returned by their live objects (Fig. 5.13) and by their capacity (Fig. 5.16),
// of the process that had most spans.
var spanReturns = Instrument{
	Metrics: correlation,
	Watch:   func() Watcher { return &returnWatch{} },
}

var correlation = []runner.Metric{{Name: "Spearman's coefficient of span capacity and return rate", Unit: "", Direction: stat.Neutral}}

type returnWatch struct{ most *telemetry.Snapshot }

func (w *returnWatch) Look(_ time.Duration, blocks []*telemetry.Snapshot) {
	for _, b := range blocks {
		if w.most == nil || b.Totals.SpansAllocated >= w.most.Totals.SpansAllocated {
			w.most = b
		}
	}
}

// End counts where nothing was seen before: at its end a process may have given all spans back.
func (w *returnWatch) End(blocks []*telemetry.Snapshot) {
	if w.most == nil {
		w.Look(0, blocks)
	}
}

func (w *returnWatch) Result() (map[string]float64, []report.Plot) {
	live := report.Plot{Title: "spans returned within a second, by live objects (Fig. 5.13)", Kind: report.Curves, X: "log2 of live objects", Y: "%"}
	for _, c := range biggest(w.most.Classes, 4) {
		s := report.Series{Name: fmt.Sprintf("%d B", c.Size)}
		for _, b := range c.Bands {
			s.X, s.Y = append(s.X, math.Log2(float64(b.Least))), append(s.Y, 100*b.Rate())
		}
		live.Series = append(live.Series, s)
	}
	all := report.Series{Name: "all classes"}
	for _, b := range w.most.ReturnBands() {
		all.X, all.Y = append(all.X, math.Log2(float64(b.Least))), append(all.Y, 100*b.Rate())
	}
	live.Series = append(live.Series, all)

	capacity := report.Plot{Title: "spans returned, by capacity (Fig. 5.16)", Kind: report.Curves, X: "log2 of objects per span", Y: "%"}
	classes := slices.Clone(w.most.Classes)
	slices.SortStableFunc(classes, func(a, b telemetry.Class) int { return a.Capacity() - b.Capacity() })
	s := report.Series{Name: "size classes"}
	for i := range classes {
		if c := &classes[i]; c.Fetched >= 10 {
			s.X, s.Y = append(s.X, math.Log2(float64(c.Capacity()))), append(s.Y, 100*c.ReturnRate())
		}
	}
	capacity.Series = append(capacity.Series, s)
	figures := map[string]float64{}
	if rho, n := w.most.ReturnCorrelation(); n > 2 && !math.IsNaN(rho) {
		figures[correlation[0].Name] = rho
	}
	return figures, []report.Plot{live, capacity}
}

// biggest are the n classes of which most spans were seen.
func biggest(all []telemetry.Class, n int) []telemetry.Class {
	seen := func(c *telemetry.Class) (sum uint64) {
		for _, b := range c.Bands {
			sum += b.Seen
		}
		return sum
	}
	out := slices.DeleteFunc(slices.Clone(all), func(c telemetry.Class) bool { return len(c.Bands) < 2 })
	slices.SortStableFunc(out, func(a, b telemetry.Class) int { return int(seen(&b)) - int(seen(&a)) })
	return out[:min(n, len(out))]
}
