package selfcheck

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/micro"
	"github.com/vcmalloc/vcmalloc/bench/proc"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

const (
	delayNanos = 20
	// The shim's delay is a whole number of multiplications of about 1 ns: it can be off by half of one, and its
	// calibration by as much again.
	delayTolerance = 1.0

	// How exactly the ratio of the delayed shim to the other is to be known: a pair takes some 10 ns, and three times
	// that with the delay, so that this is about 1 ns.
	delayWidth = 0.03

	wasteRatio     = 1.2
	wasteTolerance = 0.005 // the ends of glibc's heap

	// With glibc's header of 8 bytes and granule of 16, blocks of 1592 bytes take 1600, and 1592 + 318 take 1920:
	// a fifth more to the byte.
	wasteSize = 1592
)

var (
	nanos  = runner.Metric{Name: "time", Unit: "ns/op", Direction: stat.Lower, Main: true}
	grown  = runner.Metric{Name: "resident per byte asked for", Unit: "", Direction: stat.Lower, Main: true}
	filled = runner.Metric{Name: "time to fill", Unit: "s", Direction: stat.Lower}
	faults = runner.Metric{Name: "page faults", Unit: "/1000 op", Direction: stat.Neutral}
)

type check struct {
	l           *lab.Lab
	micro, fill string
	plan        *runner.Plan
}

// rounds of the self-checks: the interval of 11 is their whole range, at 99.9 %, so that the eight lines of two equal
// copies all say "no difference" in 99 of 100 runs.
const rounds = 11

// Suites of the three checks.
func Suites(ctx context.Context, l *lab.Lab) ([]runner.Suite, error) {
	c := &check{l: l, plan: &runner.Plan{Rounds: rounds, MinRounds: rounds, Warmup: 1}}
	var err error
	if c.micro, err = l.CC.Program(ctx, "micro.cc"); err != nil {
		return nil, err
	}
	if c.fill, err = l.CC.Program(ctx, "fill.c"); err != nil {
		return nil, err
	}
	var out []runner.Suite
	for _, f := range []func(context.Context) (runner.Suite, error){c.delay, c.waste, c.same} {
		s, err := f(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (c *check) delay(ctx context.Context) (runner.Suite, error) {
	subs, err := c.shims(ctx, "shim_delay.c", map[string]string{"shim+0ns": "-DDELAY_NS=0", "shim+20ns": fmt.Sprintf("-DDELAY_NS=%d", delayNanos)})
	// On a busy machine 11 rounds leave an interval of tens of ns: then it takes more of them.
	plan := *c.plan
	plan.MaxRounds, plan.Stretch, plan.Width = 51, lab.Pick(c.l.Size, 60*time.Second, 15*time.Second, 0), delayWidth
	return runner.Suite{
		Name: "self-delay", Title: "Self-check: 20 ns added to malloc",
		About:    "The same shim over glibc's malloc twice, once with a calibrated delay. The difference must come out as 20 ns.",
		Baseline: "shim+0ns", Subjects: subs, Plan: &plan,
		Cases: []runner.Case{c.pair("pair", 64, 1)},
		Finish: func(s *report.Suite) {
			got := versus(s, nanos.Name, "shim+20ns").Diff
			off := math.Max(got.Low-delayNanos, delayNanos-got.High)
			// An interval that has nothing in it as well is no measurement: the machine is too busy for one.
			verdict(s, "shim+20ns", off <= delayTolerance && got.Low > 0, fmt.Sprintf("%d ns more, within %.0f ns", delayNanos, delayTolerance),
				fmt.Sprintf("%.2f ns more [%.2f-%.2f]", got.Median, got.Low, got.High))
		},
	}, err
}

func (c *check) waste(ctx context.Context) (runner.Suite, error) {
	subs, err := c.shims(ctx, "shim_waste.c", map[string]string{"shim+20%": ""})
	subs = append([]subject.Subject{subject.Glibc()}, subs...)
	return runner.Suite{
		Name: "self-waste", Title: "Self-check: a fifth of memory wasted",
		About:    "A shim over glibc's malloc that asks for a fifth more and touches it, with a block size at which that is a fifth to the byte.",
		Baseline: "glibc", Subjects: subs, Plan: c.plan,
		Cases: []runner.Case{c.filling()},
		Finish: func(s *report.Suite) {
			got := versus(s, grown.Name, "shim+20%").Ratio
			ok := got.Low-wasteTolerance <= wasteRatio && wasteRatio <= got.High+wasteTolerance
			verdict(s, "shim+20%", ok, fmt.Sprintf("ratio %.3f, within %.3f", wasteRatio, wasteTolerance),
				fmt.Sprintf("%.4f [%.4f-%.4f]", got.Median, got.Low, got.High))
		},
	}, err
}

func (c *check) same(context.Context) (runner.Suite, error) {
	var subs []subject.Subject
	for _, name := range []string{"copy-a", "copy-b"} {
		s, err := copyOf(c.l.Ours, filepath.Join(c.l.Work, "lib", name+".so"), name)
		if err != nil {
			return runner.Suite{}, err
		}
		subs = append(subs, s)
	}
	return runner.Suite{
		Name: "self-same", Title: "Self-check: two copies of one library",
		About:    "Our library against a copy of itself: every line must say \"no difference\".",
		Baseline: "copy-a", Subjects: subs, Plan: c.plan,
		Cases: []runner.Case{c.pair("pair", 64, 1), c.pair("shuffle", 256, 1), c.pair("mixed", 0, 2), c.filling()},
		Finish: func(s *report.Suite) {
			var wrong []string
			lines := 0
			for _, k := range s.Cases {
				for _, m := range k.Metrics {
					lines++
					if v := m.Versus["copy-b"]; v.Verdict != stat.NoDifference && v.Verdict != stat.Unknown { // too few rounds had faults: no claim
						wrong = append(wrong, fmt.Sprintf("%s, %s: %s", k.Name, m.Name, v))
					}
				}
			}
			verdict(s, "copy-b", len(wrong) == 0, fmt.Sprintf("%d times \"no difference\"", lines), fmt.Sprintf("%d others %v", len(wrong), wrong))
		},
	}, nil
}

func (c *check) pair(mode string, size, threads int) runner.Case {
	millis := lab.Pick(c.l.Size, 300, 100, 10)
	if threads > 1 {
		millis = max(millis, 50) // several turns of the scheduler
	}
	return runner.Case{
		Name: mode, Metrics: []runner.Metric{nanos, faults}, Cost: time.Duration(millis) * time.Millisecond,
		Run: func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
			f, err := micro.Measure(ctx, c.l, c.micro, s, mode, size, millis, threads)
			return runner.Sample{Figures: f}, err
		},
	}
}

func (c *check) filling() runner.Case {
	mib := lab.Pick(c.l.Size, 256, 64, 16)
	return runner.Case{
		Name: "fill", Metrics: []runner.Metric{grown, filled}, Cost: time.Duration(mib) * time.Millisecond,
		Run: func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
			res, err := c.l.Launch.Run(ctx, proc.Command{Argv: []string{c.fill, fmt.Sprint(wasteSize), fmt.Sprint(mib)}, Subject: s})
			if err != nil {
				return runner.Sample{}, err
			}
			f, err := lab.Figures(res.Stdout)
			return runner.Sample{Figures: map[string]float64{grown.Name: f["grown"], filled.Name: f["seconds"]}}, err
		},
	}
}

// shims compiles the file once per flag, in the order of the names.
func (c *check) shims(ctx context.Context, file string, flags map[string]string) ([]subject.Subject, error) {
	var out []subject.Subject
	for _, name := range []string{"shim+0ns", "shim+20ns", "shim+20%"} {
		flag, ok := flags[name]
		if !ok {
			continue
		}
		var args []string
		if flag != "" {
			args = append(args, flag)
		}
		path, err := c.l.CC.Shared(ctx, file, args...)
		if err != nil {
			return nil, err
		}
		out = append(out, subject.Subject{Name: name, Preload: path, About: "a shim over glibc"})
	}
	return out, nil
}

func copyOf(s subject.Subject, path, name string) (subject.Subject, error) {
	b, err := os.ReadFile(s.Preload)
	if err != nil {
		return s, err
	}
	s.Name, s.Preload = name, path
	return s, os.WriteFile(path, b, 0o755)
}

func versus(s *report.Suite, metric, name string) stat.Comparison {
	return s.Cases[0].Metric(metric).Versus[name]
}

// verdict adds the check's table, and a failure for the subject where it did not hold.
func verdict(s *report.Suite, name string, ok bool, want, got string) {
	word := "as known"
	if !ok {
		word = "NOT AS KNOWN"
		s.Cases[0].Failed[name] = "self-check: want " + want + ", got " + got
	}
	s.Extra = append(s.Extra, report.Table{
		Title: s.Title, Header: []string{"known", "measured", "verdict"}, Rows: [][]string{{want, got, word}},
	})
}
