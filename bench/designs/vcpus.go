package designs

import (
	"fmt"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/telemetry"
)

// vcpuMisses is what the per-CPU caches may hold and how often they miss (Fig. 5.9b), in all and by vCPU over time.
var vcpuMisses = Instrument{
	Metrics: append(append([]runner.Metric{}, capacityMetrics...), missMetrics...),
	Watch: func() Watcher {
		return both{
			&Mean{Metrics: capacityMetrics, Of: func(s *telemetry.Snapshot) []float64 {
				sum := 0.0
				for i := range s.VCPUs {
					sum += float64(s.VCPUs[i].Capacity)
				}
				return []float64{sum / mib}
			}},
			&Rate{Metrics: missMetrics, Of: func(s *telemetry.Snapshot) []float64 {
				return []float64{float64(s.Totals.Underflows + s.Totals.Overflows)}
			}},
			&vcpuCurves{},
		}
	},
}

var (
	capacityMetrics = []runner.Metric{{Name: "per-CPU capacity", Unit: "MiB", Direction: stat.Neutral}}
	missMetrics     = []runner.Metric{{Name: "per-CPU misses", Unit: "/s", Direction: stat.Lower}}
)

// vcpuCurves draws capacity and misses per vCPU of the process with most vCPUs.
type vcpuCurves struct {
	pid             int
	last            *telemetry.Snapshot
	capacity, count map[int]*report.Series
}

func (v *vcpuCurves) Look(at time.Duration, blocks []*telemetry.Snapshot) {
	b := blocks[0]
	for _, k := range blocks {
		if len(k.VCPUs) > len(b.VCPUs) {
			b = k
		}
	}
	if v.last == nil || b.PID != v.pid && len(b.VCPUs) > len(v.last.VCPUs) {
		*v = vcpuCurves{pid: b.PID, last: b, capacity: map[int]*report.Series{}, count: map[int]*report.Series{}}
		return
	}
	if b.PID != v.pid || b.Writes == v.last.Writes { // Updated is on the wall clock of the moment of reading: it wavers
		return
	}
	seconds := b.Updated.Sub(v.last.Updated).Seconds()
	before := map[int]uint64{}
	for _, c := range v.last.VCPUs {
		before[c.ID] = c.Underflows + c.Overflows
	}
	for _, c := range b.VCPUs {
		add(v.capacity, c.ID, at.Seconds(), float64(c.Capacity)/mib)
		add(v.count, c.ID, at.Seconds(), float64(c.Underflows+c.Overflows-before[c.ID])/seconds)
	}
	v.last = b
}

func add(to map[int]*report.Series, id int, x, y float64) {
	s := to[id]
	if s == nil {
		s = &report.Series{Name: fmt.Sprintf("vCPU %d", id)}
		to[id] = s
	}
	s.X, s.Y = append(s.X, x), append(s.Y, y)
}

func (v *vcpuCurves) End([]*telemetry.Snapshot) {}

func (v *vcpuCurves) Result() (map[string]float64, []report.Plot) {
	if v.last == nil || len(v.capacity) == 0 {
		return nil, nil
	}
	plots := []report.Plot{
		{Title: "capacity per vCPU (Fig. 5.9b)", Kind: report.Curves, X: "seconds", Y: "MiB"},
		{Title: "misses per vCPU (Fig. 5.9b)", Kind: report.Curves, X: "seconds", Y: "misses per second"},
	}
	const most = 16 // curves that can be told apart
	for _, c := range v.last.VCPUs[:min(len(v.last.VCPUs), most)] {
		if s := v.capacity[c.ID]; s != nil {
			plots[0].Series = append(plots[0].Series, *s)
			plots[1].Series = append(plots[1].Series, *v.count[c.ID])
		}
	}
	return nil, plots
}

// both joins watchers.
type both []Watcher

func (b both) Look(at time.Duration, blocks []*telemetry.Snapshot) {
	for _, w := range b {
		w.Look(at, blocks)
	}
}

func (b both) End(blocks []*telemetry.Snapshot) {
	for _, w := range b {
		w.End(blocks)
	}
}

func (b both) Result() (map[string]float64, []report.Plot) {
	figures, plots := map[string]float64{}, []report.Plot(nil)
	for _, w := range b {
		f, p := w.Result()
		for name, v := range f {
			figures[name] = v
		}
		plots = append(plots, p...)
	}
	return figures, plots
}
