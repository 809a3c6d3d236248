package designs

import (
	"context"
	"maps"
	"os"
	"path/filepath"
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

	// End is called once, after the run: with the last block of every process there was, as above. One that ended in
	// the regular way wrote it when it did, and may have freed everything by then.
	End(blocks []*telemetry.Snapshot)

	// Result is called once, after End: figures by the metrics' names, and plots. A run may have been too short
	// for any Look.
	Result() (map[string]float64, []report.Plot)
}

// instruments that watch every run of every design.
var instruments = []Instrument{tierMemory, vcpuMisses, pageHeap, released, crossings, spanReturns}

// lookEvery is how often the watchers look. A process must live so long to be found.
const lookEvery = 100 * time.Millisecond

// watched has the case's runs publish their statistics, and the instruments watch them.
func watched(c *runner.Case) {
	run, together := c.Run, c.Together
	c.Metrics = slices.Clone(c.Metrics)
	for _, i := range instruments {
		c.Metrics = append(c.Metrics, i.Metrics...)
	}
	c.Run = func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
		samples, errs := watching([]subject.Subject{s}, func(subs []subject.Subject) ([]runner.Sample, []error) {
			sample, err := run(ctx, subs[0])
			return []runner.Sample{sample}, []error{err}
		})
		return samples[0], errs[0]
	}
	if together != nil {
		c.Together = func(ctx context.Context, subs []subject.Subject) ([]runner.Sample, []error) {
			return watching(subs, func(subs []subject.Subject) ([]runner.Sample, []error) { return together(ctx, subs) })
		}
	}
}

// watching calls run with subjects that publish, each in a directory of its own, and adds to the samples what is seen
// there.
func watching(subs []subject.Subject, run func([]subject.Subject) ([]runner.Sample, []error)) ([]runner.Sample, []error) {
	subs = slices.Clone(subs)
	quit, done := make(chan struct{}), make([]chan runner.Sample, len(subs))
	for i := range subs {
		dir, err := os.MkdirTemp("", "vcb-stats-")
		if err == nil {
			defer os.RemoveAll(dir)
			err = os.Chmod(dir, 0o777) // PostgreSQL runs as another user
		}
		if err != nil {
			close(quit)
			return make([]runner.Sample, len(subs)), slices.Repeat([]error{err}, len(subs))
		}
		subs[i].Env = append(slices.Clone(subs[i].Env), "VCMALLOC_STATS_DIR="+dir)
		done[i] = make(chan runner.Sample, 1)
		go func() { done[i] <- watch(telemetry.Dir(dir), quit) }()
	}
	samples, errs := run(subs)
	close(quit)
	for i := range samples {
		seen := <-done[i]
		if samples[i].Figures != nil {
			maps.Copy(samples[i].Figures, seen.Figures)
		}
		samples[i].Plots = append(samples[i].Plots, seen.Plots...)
	}
	return samples, errs
}

// watch shows the blocks in dir to a watcher of each instrument until quit.
func watch(dir telemetry.Dir, quit <-chan struct{}) runner.Sample {
	out := runner.Sample{Figures: map[string]float64{}}
	watchers := make([]Watcher, len(instruments))
	for i := range instruments {
		watchers[i] = instruments[i].Watch()
	}
	seen := newProcesses(dir)
	defer seen.close()
	start := time.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			blocks := seen.look()
			if len(blocks) == 0 {
				continue
			}
			for _, w := range watchers {
				w.Look(time.Since(start), blocks)
			}
		case <-quit:
			blocks := seen.last()
			if len(blocks) == 0 {
				return out
			}
			for _, w := range watchers {
				w.End(blocks)
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

// processes of a run. Their files stay open: what a process writes when it ends, as it removes the file, is read from
// there.
type processes struct {
	dir  telemetry.Dir
	open map[string]*telemetry.Reader // by the file's name
}

func newProcesses(dir telemetry.Dir) *processes {
	return &processes{dir, map[string]*telemetry.Reader{}}
}

// look is the renewed blocks of those that run.
func (p *processes) look() []*telemetry.Snapshot {
	entries, err := os.ReadDir(string(p.dir))
	if err != nil {
		return nil
	}
	var out []*telemetry.Snapshot
	for _, e := range entries {
		r := p.open[e.Name()]
		if r == nil {
			if r, err = telemetry.Open(filepath.Join(string(p.dir), e.Name())); err != nil {
				continue // it ended meanwhile
			}
			p.open[e.Name()] = r
		}
		out = appendRenewed(out, r)
	}
	return out
}

// last is the last renewed blocks of all there were.
func (p *processes) last() []*telemetry.Snapshot {
	var out []*telemetry.Snapshot
	for _, name := range slices.Sorted(maps.Keys(p.open)) {
		out = appendRenewed(out, p.open[name])
	}
	return out
}

func (p *processes) close() {
	for _, r := range p.open {
		r.Close()
	}
}

func appendRenewed(to []*telemetry.Snapshot, r *telemetry.Reader) []*telemetry.Snapshot {
	if s, err := r.Read(); err == nil && s.Writes >= 2 {
		return append(to, s)
	}
	return to
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

// End adds nothing: what a process holds when it ends is no part of an average over its life.
func (m *Mean) End([]*telemetry.Snapshot) {}

// Result is the averages; none where nothing was seen in time.
func (m *Mean) Result() (map[string]float64, []report.Plot) {
	out := map[string]float64{}
	for i := range m.sum {
		out[m.Metrics[i].Name] = m.sum[i] / float64(m.looks)
	}
	return out, nil
}

// enough is how far apart two blocks are from which a rate can be told: several renewals of the shortest tick.
const enough = time.Second / 2

// Rate is a watcher of counters: the growth per second of Of, summed over the processes, one value per metric. A
// process counts from its first renewed block to its last, or over its life if these are less than half a second apart.
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

// End is one more look at the processes that there would be nothing to say of without it. The others' last moments,
// in which they free all they have, are no part of their load.
func (r *Rate) End(blocks []*telemetry.Snapshot) {
	for _, b := range blocks {
		if a := r.first[b.PID]; a == nil || r.last[b.PID].Updated.Sub(a.Updated) < enough {
			r.Look(0, []*telemetry.Snapshot{b})
		}
	}
}

// Result is the rates.
func (r *Rate) Result() (map[string]float64, []report.Plot) {
	out := map[string]float64{}
	for pid, a := range r.first {
		b, before := r.last[pid], make([]float64, len(r.Metrics))
		since := b.Started
		if b.Updated.Sub(a.Updated) >= enough {
			before, since = r.Of(a), a.Updated
		}
		seconds := b.Updated.Sub(since).Seconds()
		if seconds <= 0 {
			continue
		}
		after := r.Of(b)
		for i, m := range r.Metrics {
			out[m.Name] += (after[i] - before[i]) / seconds
		}
	}
	return out, nil
}

const mib = 1 << 20
