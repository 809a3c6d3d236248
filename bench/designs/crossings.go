package designs

import (
	"time"

	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/telemetry"
)

// crossings is how many objects are allocated in another last-level cache domain than the one that freed them, as
// the transfer caches and spans know it. A run that is told of one domain has none.
var crossings = Instrument{
	Metrics: crossMetrics,
	Watch:   func() Watcher { return &crossWatch{last: map[int]*telemetry.Snapshot{}} },
}

var crossMetrics = []runner.Metric{
	{Name: "crossed share", Unit: "%", Direction: stat.Lower},
	{Name: "crossed objects", Unit: "/s", Direction: stat.Lower},
	{Name: "avoidable crossed share", Unit: "%", Direction: stat.Lower},
	{Name: "carried by vCPUs", Unit: "/s", Direction: stat.Neutral},
}

// crossWatch takes each process's last block: its counters go from the first allocation on.
type crossWatch struct{ last map[int]*telemetry.Snapshot }

func (w *crossWatch) Look(_ time.Duration, blocks []*telemetry.Snapshot) {
	for _, b := range blocks {
		w.last[b.PID] = b
	}
}

func (w *crossWatch) End(blocks []*telemetry.Snapshot) { w.Look(0, blocks) }

func (w *crossWatch) Result() (map[string]float64, []report.Plot) {
	var reused, crossed, forced, rate, carried float64
	for _, b := range w.last {
		if len(b.Domains) < 2 {
			continue
		}
		reused += float64(b.Totals.Reused)
		crossed += float64(b.Totals.Crossed)
		forced += float64(min(b.Totals.Forced, b.Totals.Crossed))
		if s := b.Updated.Sub(b.Started).Seconds(); s > 0 {
			rate += float64(b.Totals.Crossed) / s
			carried += float64(b.Totals.Carried) / s
		}
	}
	if reused == 0 {
		return nil, nil
	}
	return map[string]float64{crossMetrics[0].Name: 100 * crossed / reused, crossMetrics[1].Name: rate,
		crossMetrics[2].Name: 100 * (crossed - forced) / reused, crossMetrics[3].Name: carried}, nil
}
