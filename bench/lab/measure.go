package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/proc"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// Measure runs a generator of bench/load under s, with a look at its memory that often. The sample has what the
// generator printed, under its names, and what the system says of the run.
func (l *Lab) Measure(ctx context.Context, s subject.Subject, every time.Duration, argv ...string) (runner.Sample, error) {
	res, err := l.Launch.Run(ctx, proc.Command{Argv: argv, Subject: s, Sample: every})
	if err != nil {
		return runner.Sample{}, err
	}
	return sample(res)
}

// turn is how long one subject runs while the others are stopped. What the machine gives varies by some per cent from
// second to second, most of all memory bandwidth, where others share it; within less than a tenth of a second
// it stays nearly the same. Stopping and continuing costs up to half a millisecond with 64 threads.
const turn = 50 * time.Millisecond

// MeasureTogether is Measure for several subjects at the same time, of which one runs and the others are stopped, in
// turns. Their throughput is over the time they ran. The generator must print SPAN (bench/load/common.h), and do an amount
// of work and not work for a time.
func (l *Lab) MeasureTogether(ctx context.Context, subs []subject.Subject, every time.Duration, argv ...string) ([]runner.Sample, []error) {
	samples, errs := make([]runner.Sample, len(subs)), make([]error, len(subs))
	commands := make([]proc.Command, len(subs))
	for i, s := range subs {
		commands[i] = proc.Command{Argv: argv, Subject: s, Sample: every}
	}
	for i, r := range l.Launch.RunInTurns(ctx, turn, commands) {
		if errs[i] = r.Err; r.Err != nil {
			continue
		}
		if samples[i], errs[i] = sample(r.Result); errs[i] != nil {
			continue
		}
		f := samples[i].Figures
		ran := r.Ran(int64(f["from"]), int64(f["to"]))
		if ran <= 0 {
			errs[i] = fmt.Errorf("%s did not say when it ran", argv[0])
			continue
		}
		f["throughput"] *= (f["to"] - f["from"]) / float64(ran)
	}
	return samples, errs
}

func sample(res *proc.Result) (runner.Sample, error) {
	f, err := Figures(res.Stdout)
	if err != nil {
		return runner.Sample{}, err
	}
	Account(f, res)
	return runner.Sample{Figures: f, Line: Line(res)}, nil
}

// Figures parses the one JSON object that a generator prints: names and numbers.
func Figures(out []byte) (map[string]float64, error) {
	f := map[string]float64{}
	if err := json.Unmarshal(out, &f); err != nil {
		return nil, fmt.Errorf("a generator printed %q: %w", out, err)
	}
	return f, nil
}

// The metrics that every program has, with the names that Account uses.
var (
	PeakRSS  = runner.Metric{Name: "peak resident", Unit: "MiB", Direction: stat.Lower, Main: true}
	AvgRSS   = runner.Metric{Name: "average resident", Unit: "MiB", Direction: stat.Lower, Main: true}
	Faults   = runner.Metric{Name: "page faults", Unit: "", Direction: stat.Lower}
	Switches = runner.Metric{Name: "context switches", Unit: "", Direction: stat.Neutral}
	CPUTime  = runner.Metric{Name: "cpu time", Unit: "s", Direction: stat.Lower}
	System   = runner.Metric{Name: "system time", Unit: "s", Direction: stat.Lower}
	Coverage = runner.Metric{Name: "hugepage coverage", Unit: "%", Direction: stat.Neutral}
	CPI      = runner.Metric{Name: "CPI", Unit: "", Direction: stat.Lower}
	LLC      = runner.Metric{Name: "LLC load MPKI", Unit: "", Direction: stat.Lower}
	DTLB     = runner.Metric{Name: "dTLB load MPKI", Unit: "", Direction: stat.Lower}
)

// SystemMetrics are those a workload shows besides its own: counters only where the machine has them.
func (l *Lab) SystemMetrics() []runner.Metric {
	m := []runner.Metric{PeakRSS, AvgRSS, Coverage, Faults, Switches, CPUTime, System}
	if l.Machine.Counters {
		m = append(m, CPI, LLC, DTLB)
	}
	return m
}

// Account adds what the system says of a run to figures.
func Account(figures map[string]float64, r *proc.Result) {
	const mib = 1 << 20
	figures[PeakRSS.Name] = r.PeakRSS / mib
	figures[Faults.Name] = r.Minor + r.Major
	figures[Switches.Name] = r.Voluntary + r.Involuntary
	figures[CPUTime.Name] = (r.User + r.System).Seconds()
	figures[System.Name] = r.System.Seconds()
	if m := r.Memory; m != nil {
		figures[AvgRSS.Name] = m.AvgRSS / mib
		figures[Coverage.Name] = 100 * m.Coverage
	}
	if c := r.Counters; c != nil {
		figures[CPI.Name] = c.Cycles / c.Instructions
		figures[LLC.Name] = 1000 * c.LLCMisses / c.Instructions
		figures[DTLB.Name] = 1000 * c.TLBMisses / c.Instructions
	}
}

// Line is the run's resident memory over time.
func Line(r *proc.Result) *report.Line {
	if r.Memory == nil {
		return nil
	}
	var l report.Line
	for _, k := range r.Memory.Looks {
		l.Seconds = append(l.Seconds, k.At.Seconds())
		l.Bytes = append(l.Bytes, k.RSS)
	}
	return &l
}
