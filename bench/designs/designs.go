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
		if d.Env == nil {
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
		s, err := suite(ctx, l, g)
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

func suite(ctx context.Context, l *lab.Lab, group []*Design) (runner.Suite, error) {
	s := runner.Suite{
		Name: "designs", Title: "The paper's designs",
		About: "Each design alone, and all, against the legacy design, from one binary by VCMALLOC_FEATURES. The paper's figures are averages over " +
			"thousands of machines: compare sign and size.",
		Notes:    []string{"What the library tells of itself is read from its statistics block, which it renews once a second: shorter runs have none of it."},
		Baseline: legacy, Plan: plan(l),
	}
	var env []string
	if d := group[0]; d.Env != nil {
		env = d.Env(l)
		s.Name, s.Title = "designs-"+d.Name, "The design "+d.Name
		s.Notes = append(s.Notes, "Both sides run with "+quoted(env)+".")
	}
	s.Subjects = []subject.Subject{l.Ours.WithFeatures(legacy, "-all", env...)}
	for _, d := range group {
		s.Subjects = append(s.Subjects, l.Ours.WithFeatures(d.Name, d.Features, env...))
	}
	own := *l // the workloads look at their lab's subjects
	own.Subjects, own.Baseline = s.Subjects, legacy
	cases, err := fleet.Cases(&own)
	if err != nil {
		return s, err
	}
	more, err := work.Cases(ctx, &own)
	if err != nil {
		return s, err
	}
	s.Cases = append(cases, more...)
	brief := l.Size != lab.Full && len(l.Only) == 0
	for i := range s.Cases {
		s.Cases[i].Optional = brief && !slices.Contains(inBrief, s.Cases[i].Name)
	}
	for _, d := range group {
		if d.Cases == nil {
			continue
		}
		c, err := d.Cases(ctx, &own)
		if err != nil {
			return s, err
		}
		for i := range c {
			c[i].Optional = brief
		}
		s.Cases = append(s.Cases, c...)
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
				d.Finish(r)
			}
		}
	}
	return s, nil
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

// plan is nil for the command line's.
func plan(l *lab.Lab) *runner.Plan {
	if l.Size == lab.Full {
		return nil
	}
	return &runner.Plan{Rounds: lab.Pick(l.Size, 0, 5, 1), MinRounds: lab.Pick(l.Size, 0, 3, 1), Budget: 15 * time.Second}
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
