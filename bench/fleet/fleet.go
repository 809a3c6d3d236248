package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/proc"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// AverageHeap is the metric of memory over a replay, by events and not by time.
const AverageHeap = "average heap"

// SettledFleet is the name of the case of a fleet in which, after two days, as much ends as begins.
const SettledFleet = "settled fleet"

var (
	rate     = runner.Metric{Name: "throughput", Unit: "events/s", Direction: stat.Higher, Main: true}
	heapPeak = runner.Metric{Name: "peak heap", Unit: "MiB", Direction: stat.Lower, Main: true}
	heapMean = runner.Metric{Name: AverageHeap, Unit: "MiB", Direction: stat.Lower, Main: true}
	waste    = runner.Metric{Name: "fragmentation", Unit: "%", Direction: stat.Lower, Main: true}
)

// Suite replays the synthetic trace, or the files of l.Traces.
func Suite(ctx context.Context, l *lab.Lab) ([]runner.Suite, error) {
	cases, err := Cases(l)
	for i := range cases {
		cases[i].Optional = cases[i].Name == SettledFleet && l.Size != lab.Full
	}
	return []runner.Suite{{
		Name: "fleet", Title: "Traces",
		About: "Allocation traces replayed as fast as they go, in as many threads as they have; every object is written and checked. " +
			"The synthetic one follows the paper's sizes and lifetimes; `bench record` takes one of your own program. Peak heap and average heap are the growth " +
			"of anonymous memory, fragmentation the average of 1 - live bytes asked for / that growth; averages are over events, not time.",
		Baseline: l.Baseline, Subjects: l.Subjects, Cases: cases,
	}}, err
}

// Cases, also for other suites to run.
func Cases(l *lab.Lab) ([]runner.Case, error) {
	if len(l.Traces) > 0 {
		var out []runner.Case
		for _, path := range l.Traces {
			if _, err := os.Stat(path); err != nil {
				return nil, err
			}
			out = append(out, replay(l, filepath.Base(path), "A recorded trace.", path, nil))
		}
		return out, nil
	}
	n := l.Amount(4000000, 600000, 20000)
	steady := synthetic(l, "synthetic fleet", fmt.Sprintf("%d allocations by the paper's Figs. 5.7 and 5.8.", n), fmt.Sprintf("fleet-%d", n),
		func() *Trace { return Synthesise(n, 1) })
	m := l.Amount(16000000, 2000000, 20000)
	settled := synthetic(l, SettledFleet, fmt.Sprintf("%d allocations by the same on %d days of which the longest lived objects see two; at night the load is "+
		"three tenths.", m, days), fmt.Sprintf("settled-%d", m), func() *Trace { return Settled(m, days, 1) })
	settled.Cost *= 4
	return []runner.Case{steady, settled}, nil
}

// days of the settled fleet: on the first two its heap fills.
const days = 6

// synthetic is the replay of a trace that make makes, each time anew: its generator may have changed.
func synthetic(l *lab.Lab, name, about, file string, make func() *Trace) runner.Case {
	path := filepath.Join(l.Work, "input", file+".trace")
	return replay(l, name, about, path, func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return make().Save(path)
	})
}

func replay(l *lab.Lab, name, about, path string, generate func() error) runner.Case {
	var binary string
	return runner.Case{
		Name: name, About: about, Cost: lab.Pick(l.Size, 8*time.Second, time.Duration(400+500*max(l.Times, 1))*time.Millisecond, 200*time.Millisecond),
		Metrics: append([]runner.Metric{rate, heapPeak, heapMean, waste}, l.SystemMetrics()[2:]...), // the process's own peak and average have the trace in them
		Prepare: func(ctx context.Context) (err error) {
			if binary, err = l.CC.Program(ctx, "replay.cc"); err != nil || generate == nil {
				return err
			}
			return generate()
		},
		Run: func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
			sample, err := l.Measure(ctx, s, look, binary, path)
			named(sample)
			return sample, err
		},
		Together: func(ctx context.Context, subs []subject.Subject) ([]runner.Sample, []error) {
			samples, errs := l.MeasureTogether(ctx, subs, look, binary, path)
			for _, s := range samples {
				named(s)
			}
			return samples, errs
		},
	}
}

// look is how often a replay's memory is looked at.
const look = 100 * time.Millisecond

// named gives the replay's figures their metrics' names.
func named(s runner.Sample) {
	if f := s.Figures; f != nil {
		f[heapPeak.Name], f[heapMean.Name], f[waste.Name] = f["heap"]/(1<<20), f["mean"]/(1<<20), f["waste"]
	}
}

// Record runs a command with the recorder preloaded and writes the trace to path: of the process that allocated
// most, where the command starts others.
func Record(ctx context.Context, l *lab.Lab, argv []string, path string) (*Trace, error) {
	shim, err := l.CC.Shared(ctx, "record.c")
	if err != nil {
		return nil, err
	}
	dir, err := l.Dir("record")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	_, err = l.Launch.Run(ctx, proc.Command{
		Argv: argv, Subject: subject.Subject{Name: "recorder", Preload: shim}, Env: []string{"BENCH_RECORD=" + filepath.Join(dir, "raw")},
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", argv[0], err)
	}
	f, err := largest(filepath.Join(dir, "raw.*"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", argv[0], err)
	}
	defer f.Close()
	t, err := Convert(f)
	if err != nil {
		return nil, err
	}
	return t, t.Save(path)
}

func largest(pattern string) (*os.File, error) {
	names, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	best, size := "", int64(0)
	for _, n := range names {
		if st, err := os.Stat(n); err == nil && st.Size() > size {
			best, size = n, st.Size()
		}
	}
	if best == "" {
		return nil, errors.New("nothing was recorded (a static program, or one with more rights than its caller?)")
	}
	return os.Open(best)
}
