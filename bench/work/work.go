package work

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// Throughput is each workload's own figure.
const Throughput = "throughput"

// Waste is the share of anonymous resident memory that the program's own accounting does not know of.
var Waste = runner.Metric{Name: "fragmentation", Unit: "%", Direction: stat.Lower}

func throughput(unit string) runner.Metric {
	return runner.Metric{Name: Throughput, Unit: unit, Direction: stat.Higher, Main: true}
}

// Suite of all workloads.
func Suite(ctx context.Context, l *lab.Lab) ([]runner.Suite, error) {
	cases, err := Cases(ctx, l)
	if err != nil {
		return nil, err
	}
	s := runner.Suite{
		Name: "work", Title: "Workloads",
		About: "Whole programs on seeded input, their results checked. Average resident memory and hugepage coverage (AnonHugePages " +
			"of all anonymous memory) come from smaps_rollup at fixed intervals, the peak from the kernel's own account. " +
			"Fragmentation is 1 - what the program holds by its own accounting / anonymous resident memory, where a program has such.",
		Baseline: l.Baseline, Subjects: l.Subjects, Cases: cases,
	}
	return []runner.Suite{s}, nil
}

// Cases of all workloads, also for other suites to run.
func Cases(ctx context.Context, l *lab.Lab) ([]runner.Case, error) {
	var out []runner.Case
	for _, build := range []func(*lab.Lab) runner.Case{redisBenchmark, redisMixed, pipeline, imageServer, keyValue, keyValueBursts, series, query, compile, postgres, loadFalls} {
		out = append(out, build(l))
	}
	if l.Size != lab.Full { // which has the minute in loadFalls
		out = append(out, loadStaysLow(l))
	}
	return out, ctx.Err()
}

// generator is a workload that is one program of bench/load, which prints its throughput.
type generator struct {
	name, about, unit string
	file              string
	flags             []string
	args              []string
	waste             bool
	cost              time.Duration
	prepare           func(ctx context.Context, binary string) error
}

func (g generator) build(l *lab.Lab) runner.Case {
	var binary string
	c := runner.Case{Name: g.name, About: g.about, Cost: g.cost, Metrics: append([]runner.Metric{throughput(g.unit)}, l.SystemMetrics()...)}
	if g.waste {
		c.Metrics = append(c.Metrics, Waste)
	}
	c.Prepare = func(ctx context.Context) (err error) {
		if binary, err = l.CC.Program(ctx, g.file, g.flags...); err != nil || g.prepare == nil {
			return err
		}
		return g.prepare(ctx, binary)
	}
	argv := func() []string { return append([]string{binary}, g.args...) }
	c.Run = func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
		sample, err := l.Measure(ctx, s, interval(l), argv()...)
		named(sample)
		return sample, err
	}
	c.Together = func(ctx context.Context, subs []subject.Subject) ([]runner.Sample, []error) {
		samples, errs := l.MeasureTogether(ctx, subs, interval(l), argv()...)
		for _, s := range samples {
			named(s)
		}
		return samples, errs
	}
	return c
}

// named gives what a generator calls waste its metric's name.
func named(s runner.Sample) {
	if w, ok := s.Figures["waste"]; ok {
		s.Figures[Waste.Name] = w
	}
}

// interval between looks at a program's memory.
func interval(l *lab.Lab) time.Duration {
	return lab.Pick(l.Size, 100*time.Millisecond, 50*time.Millisecond, 20*time.Millisecond)
}

// needs returns an error that names the package of a program that is not there.
func needs(program, pkg string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("%s is not installed (package %s; `go run ./bench setup`)", program, pkg)
	}
	return nil
}
