package designs

import (
	"context"
	"slices"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/fleet"
	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/subject"
	"github.com/vcmalloc/vcmalloc/bench/work"
)

const legacy = "legacy"

// Suites of the designs that the lab's words choose: those without settings of their own share one, and one legacy
// design; each of the others has its own.
func Suites(ctx context.Context, l *lab.Lab) ([]runner.Suite, error) {
	all, words := chosen(l.Only)
	var shared []*Design
	var groups [][]*Design
	for _, d := range all {
		if !d.alone() {
			shared = append(shared, d)
		} else {
			groups = append(groups, []*Design{d})
		}
	}
	if len(shared) > 0 {
		groups = slices.Insert(groups, 0, shared)
	}
	var out []runner.Suite
	for _, g := range groups {
		s, err := suite(ctx, l, g, len(all))
		if err != nil {
			return nil, err
		}
		s.Chosen = words
		out = append(out, s)
	}
	return out, nil
}

// inBrief are the workloads of --quick where all designs are compared: many subjects take their time, so it is those
// that are all about memory. The others run where --only names them, or a design.
var inBrief = []string{"synthetic fleet", "redis, mixed", "pipeline", "key-value", "time series"}

// more is how much larger than usual quick inputs are where one design is compared: the library renews what it tells
// of itself once a second, and a run's start, where its heap is small and everything new, weighs less.
const more = 2

func suite(ctx context.Context, l *lab.Lab, group []*Design, compared int) (runner.Suite, error) {
	s := runner.Suite{
		Name: "designs", Title: "The paper's designs",
		About: "Each design alone, and all, against the legacy design, from one binary by VCMALLOC_FEATURES. The paper's figures are averages over " +
			"thousands of machines: compare sign and size.",
		Notes: []string{"What the library tells of itself is read from its statistics block, which it renews once a second and at the end: of shorter " +
			"runs there are counts, and no averages.",
			"Programs that are one process run at the same time, in turns of 50 ms, the others stopped: what the machine gives at a moment, it gives to all. " +
				"Throughput is over the time a program ran; what goes by the clock, such as resizing caches every 5 s, goes on while it is stopped.",
		},
		Plan: plan(l, compared), Together: true,
	}
	before := group[0].before()
	s.Baseline = before.Name
	var env []string
	if d := group[0]; d.alone() {
		s.Name, s.Title = "designs-"+d.Name, d.Title
		s.About = "From one binary, by its settings."
		if d.Env != nil {
			env = d.Env(l)
			s.Notes = append(s.Notes, "Both sides run with "+quoted(env)+".")
		}
	}
	s.Subjects = []subject.Subject{l.Ours.WithFeatures(before.Name, before.Features, slices.Concat(before.Env, env)...)}
	for _, d := range group {
		s.Subjects = append(s.Subjects, l.Ours.WithFeatures(d.Name, d.Features, slices.Concat(d.Set, env)...))
	}
	own := *l // the workloads look at their lab's subjects
	own.Subjects, own.Baseline = s.Subjects, s.Baseline
	if compared == 1 {
		own.Times = more
	}
	var err error
	if s.Cases, err = cases(ctx, &own, group); err != nil {
		return s, err
	}
	for i := range s.Cases {
		watched(&s.Cases[i])
	}
	s.Finish = func(r *report.Suite) {
		for _, d := range group {
			r.Extra = append(r.Extra, table(r, d))
		}
		for _, i := range instruments {
			r.Plots = append(r.Plots, bars(r, i)...)
		}
		for _, d := range group {
			if d.Finish != nil {
				d.Finish(r, d)
			}
		}
	}
	return s, nil
}

// cases of the group: the traces and workloads, unless it has only its own, and its own.
func cases(ctx context.Context, l *lab.Lab, group []*Design) ([]runner.Case, error) {
	brief := l.Size != lab.Full && len(l.Only) == 0
	var out []runner.Case
	if !group[0].OnlyOwn {
		var err error
		if out, err = workloads(ctx, l); err != nil {
			return nil, err
		}
	}
	for i := range out {
		out[i].Optional = out[i].Optional || brief && !slices.Contains(inBrief, out[i].Name)
	}
	for _, d := range group {
		if d.Cases == nil {
			continue
		}
		own, err := d.Cases(ctx, l)
		if err != nil {
			return nil, err
		}
		for i := range own {
			own[i].Optional = own[i].Optional || brief
		}
		out = append(out, own...)
	}
	return out, nil
}

// workloads are the traces and programs.
func workloads(ctx context.Context, l *lab.Lab) ([]runner.Case, error) {
	traces, err := fleet.Cases(l)
	if err != nil {
		return nil, err
	}
	for i, c := range traces {
		if c.Name == fleet.SettledFleet {
			traces[i] = ticking(c, 1)
			traces[i].About += " Both sides run with `VCMALLOC_TICK=1`: background work is done 1000 times as often, so that what they " +
				"learn in minutes is learnt in a part of one of its days, as in services."
		}
	}
	programs, err := work.Cases(ctx, l)
	return slices.Concat(traces, programs), err
}

func quoted(env []string) string {
	out := ""
	for i, kv := range env {
		if i > 0 {
			out += " and "
		}
		out += "`" + kv + "`"
	}
	return out
}

// plan is nil for the command line's. The first round is far off the others, where a case's input is new. From 12 rounds
// on the interval leaves the extremes out, and on a machine shared with others there are some.
func plan(l *lab.Lab, compared int) *runner.Plan {
	p := &runner.Plan{Rounds: 5, MinRounds: 3, Warmup: 1, Budget: 15 * time.Second}
	switch {
	case l.Size == lab.Full:
		return nil
	case l.Size == lab.Tiny:
		p.Rounds, p.MinRounds, p.Warmup = 1, 1, 0
	case compared == 1:
		p.Rounds, p.Budget = 12, 28*time.Second
	}
	return p
}

// bars of an instrument's metrics, a plot per case that has them.
func bars(s *report.Suite, i Instrument) []report.Plot {
	var out []report.Plot
	for _, c := range s.Cases {
		p := report.Plot{Title: c.Name + ": " + i.Bars, Kind: report.Bars, Y: i.Metrics[0].Unit}
		for _, m := range i.Metrics {
			p.Names = append(p.Names, m.Name)
		}
		for _, sub := range s.Subjects {
			series := report.Series{Name: sub.Name}
			for _, m := range i.Metrics {
				if v, ok := c.Metric(m.Name).Spread[sub.Name]; ok {
					series.Y = append(series.Y, v.Median)
				}
			}
			if len(series.Y) == len(i.Metrics) {
				p.Series = append(p.Series, series)
			}
		}
		if i.Bars != "" && len(p.Series) > 0 {
			out = append(out, p)
		}
	}
	return out
}
