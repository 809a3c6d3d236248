package designs

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/subject"
	"github.com/vcmalloc/vcmalloc/telemetry"
)

// Instrument reads something from the statistics that the processes of a run publish (about once a second).
type Instrument struct {
	Metrics []runner.Metric // what its watchers' figures are
	Watch   func() Watcher  // makes one for one run

	// Bars is the title of a plot, per case, of the metrics' medians, the subjects beside each other. "": none. The
	// metrics must then have one unit.
	Bars string
}

// Watcher watches one run. Its methods are called by one goroutine.
type Watcher interface {
	// Look is called several times a second. The blocks are those of all processes of the run that have been
	// renewed at least once (the first block is from the first allocation and says nothing), at least one. A
	// block may be the same as in the look before.
	Look(at time.Duration, blocks []*telemetry.Snapshot)

	// Result is called once, after the run: figures by the metrics' names, and plots. Not after a run that
	// published nothing.
	Result() (map[string]float64, []report.Plot)
}

// instruments that watch every run of every design.
var instruments = []Instrument{tierMemory, vcpuMisses, pageHeap, crossings, spanReturns}

// lookEvery is how often the watchers look.
const lookEvery = 250 * time.Millisecond

// watched has the case's runs publish their statistics, and the instruments watch them.
func watched(c *runner.Case) {
	run := c.Run
	c.Metrics = slices.Clone(c.Metrics)
	for _, i := range instruments {
		c.Metrics = append(c.Metrics, i.Metrics...)
	}
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
		quit, done := make(chan struct{}), make(chan runner.Sample, 1)
		go func() { done <- watch(telemetry.Dir(dir), quit) }()
		sample, err := run(ctx, s)
		close(quit)
		seen := <-done
		for name, v := range seen.Figures {
			if sample.Figures != nil {
				sample.Figures[name] = v
			}
		}
		sample.Plots = append(sample.Plots, seen.Plots...)
		return sample, err
	}
}

// watch shows the blocks in dir to a watcher of each instrument until quit.
func watch(dir telemetry.Dir, quit <-chan struct{}) runner.Sample {
	out := runner.Sample{Figures: map[string]float64{}}
	watchers := make([]Watcher, len(instruments))
	for i := range instruments {
		watchers[i] = instruments[i].Watch()
	}
	start, looks := time.Now(), 0
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			blocks := renewed(dir)
			if len(blocks) == 0 {
				continue
			}
			looks++
			for _, w := range watchers {
				w.Look(time.Since(start), blocks)
			}
		case <-quit:
			for _, w := range watchers {
				if looks == 0 {
					break
				}
				figures, plots := w.Result()
				for name, v := range figures {
					out.Figures[name] = v
				}
				out.Plots = append(out.Plots, plots...)
			}
			return out
		}
	}
}

func renewed(dir telemetry.Dir) []*telemetry.Snapshot {
	processes, err := dir.Processes()
	if err != nil {
		return nil
	}
	var out []*telemetry.Snapshot
	for _, p := range processes {
		if p.Snapshot != nil && p.Snapshot.Writes >= 2 {
			out = append(out, p.Snapshot)
		}
	}
	return out
}

// Mean is a watcher of averages over time: of Of, summed over the processes, one value per metric.
type Mean struct {
	Metrics []runner.Metric
	Of      func(*telemetry.Snapshot) []float64

	sum   []float64
	looks int
}

// Look adds the blocks' values.
func (m *Mean) Look(_ time.Duration, blocks []*telemetry.Snapshot) {
	if m.sum == nil {
		m.sum = make([]float64, len(m.Metrics))
	}
	m.looks++
	for _, b := range blocks {
		for i, v := range m.Of(b) {
			m.sum[i] += v
		}
	}
}

// Result is the averages.
func (m *Mean) Result() (map[string]float64, []report.Plot) {
	out := map[string]float64{}
	for i := range m.Metrics {
		out[m.Metrics[i].Name] = m.sum[i] / float64(m.looks)
	}
	return out, nil
}

// Rate is a watcher of counters: the growth per second of Of, summed over the processes, one value per metric. A
// process counts from its first renewed block to its last.
type Rate struct {
	Metrics []runner.Metric
	Of      func(*telemetry.Snapshot) []float64

	first, last map[int]*telemetry.Snapshot
}

// Look remembers the blocks.
func (r *Rate) Look(_ time.Duration, blocks []*telemetry.Snapshot) {
	if r.first == nil {
		r.first, r.last = map[int]*telemetry.Snapshot{}, map[int]*telemetry.Snapshot{}
	}
	for _, b := range blocks {
		if _, ok := r.first[b.PID]; !ok {
			r.first[b.PID] = b
		}
		r.last[b.PID] = b
	}
}

// Result is the rates; none where nothing was renewed twice.
func (r *Rate) Result() (map[string]float64, []report.Plot) {
	out := map[string]float64{}
	for pid, a := range r.first {
		b := r.last[pid]
		seconds := b.Updated.Sub(a.Updated).Seconds()
		if seconds < 0.5 {
			continue
		}
		before, after := r.Of(a), r.Of(b)
		for i, m := range r.Metrics {
			out[m.Name] += (after[i] - before[i]) / seconds
		}
	}
	return out, nil
}

const mib = 1 << 20
