package designs

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/fleet"
	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/work"
)

const legacy = "legacy"

// variants: the features of each subject.
var variants = []struct{ name, features, shape string }{
	{legacy, "-all", ""},
	{"percpu_resize", "-all,+percpu_resize", "Fig. 5.10: heterogeneous per-CPU caches"},
	{"nuca", "-all,+nuca", "Table 5.1: NUCA-aware transfer caches"},
	{"span_priority", "-all,+span_priority", "Fig. 5.14: span prioritisation"},
	{"lifetime_filler", "-all,+lifetime_filler", "Table 5.2 and Fig. 5.17: lifetime-aware hugepage filler"},
	{"all", "+all", "5.4.5: all designs"},
}

// Suite of all designs.
func Suite(ctx context.Context, l *lab.Lab) ([]runner.Suite, error) {
	own := *l // the workloads look at their lab's subjects
	own.Subjects, own.Baseline = nil, legacy
	for _, v := range variants {
		own.Subjects = append(own.Subjects, l.Ours.WithFeatures(v.name, v.features))
	}
	cases, err := fleet.Cases(&own)
	if err != nil {
		return nil, err
	}
	more, err := work.Cases(ctx, &own)
	if err != nil {
		return nil, err
	}
	cases = append(cases, more...)
	if l.Size != lab.Full { // six subjects take their time: those that are all about memory
		cases = slices.DeleteFunc(cases, func(c runner.Case) bool {
			return !slices.Contains([]string{"synthetic fleet", "redis, mixed", "pipeline", "key-value", "time series"}, c.Name)
		})
	}
	for i := range cases {
		watched(&cases[i])
	}
	return []runner.Suite{{
		Name: "designs", Title: "The four designs",
		About: "Each design alone, and all, against the legacy design, from one binary by VCMALLOC_FEATURES. The paper's figures are averages over " +
			"thousands of machines: compare sign and size.",
		Notes: []string{
			"What a switch does so far is in docs/tuning.md: nuca has no effect yet, and percpu_resize only chooses the budget; \"no difference\" is what they should show.",
			"Remote (cross-domain) object reuse is not shown: the library does not count it yet.",
			"Fragmentation by tier is read from the library's statistics block, which it renews once a second: runs shorter than that have none.",
		},
		Baseline: legacy, Subjects: own.Subjects, Cases: cases, Finish: tables, Plan: plan(l),
	}}, nil
}

// plan is nil for the command line's.
func plan(l *lab.Lab) *runner.Plan {
	if l.Size == lab.Full {
		return nil
	}
	return &runner.Plan{Rounds: 5, MinRounds: 3, Budget: 20 * time.Second}
}

// tables adds one table per design, in the paper's shape.
func tables(s *report.Suite) {
	for _, v := range variants {
		if v.shape == "" {
			continue
		}
		t := report.Table{
			Title: v.shape, About: "Changes against the legacy design; before -> after are medians.",
			Header: []string{"workload", "throughput", "memory", "fragmentation", "hugepage coverage, %", "CPI", "LLC load MPKI", "dTLB load MPKI",
				"page heap MiB", "central MiB", "per-CPU MiB", "transfer MiB"},
		}
		for _, c := range s.Cases {
			t.Rows = append(t.Rows, []string{
				c.Name, change(c, work.Throughput, v.name), change(c, memory(c), v.name), change(c, work.Waste.Name, v.name),
				beforeAfter(c, lab.Coverage.Name, v.name), change(c, lab.CPI.Name, v.name), beforeAfter(c, lab.LLC.Name, v.name),
				beforeAfter(c, lab.DTLB.Name, v.name), beforeAfter(c, "page heap free", v.name), beforeAfter(c, "central free list", v.name),
				beforeAfter(c, "per-CPU caches", v.name), beforeAfter(c, "transfer caches", v.name),
			})
		}
		row := []string{"geometric mean", overall(s, []string{work.Throughput}, v.name), overall(s, []string{lab.AvgRSS.Name, "peak heap"}, v.name)}
		for len(row) < len(t.Header) {
			row = append(row, "")
		}
		t.Rows = append(t.Rows, row)
		s.Extra = append(s.Extra, t)
	}
}

// memory is the name of the case's figure of memory: averages are what the paper reports.
func memory(c *report.Case) string {
	if c.Metric(lab.AvgRSS.Name) != nil {
		return lab.AvgRSS.Name
	}
	return "peak heap"
}

// change in per cent, or "no difference".
func change(c *report.Case, metric, subject string) string {
	m := c.Metric(metric)
	if m == nil {
		return "-"
	}
	return percent(m.Versus[subject])
}

func percent(v stat.Comparison) string {
	switch {
	case v.Ratio.N == 0 || math.IsNaN(v.Ratio.Median):
		return "-"
	case v.Verdict == stat.NoDifference:
		return "no difference"
	}
	if v.Verdict == stat.Unknown {
		return fmt.Sprintf("%+.2f %% (%d rounds)", 100*(v.Ratio.Median-1), v.Ratio.N)
	}
	return fmt.Sprintf("%+.2f %% [%+.2f, %+.2f]", 100*(v.Ratio.Median-1), 100*(v.Ratio.Low-1), 100*(v.Ratio.High-1))
}

func beforeAfter(c *report.Case, metric, subject string) string {
	m := c.Metric(metric)
	if m == nil {
		return "-"
	}
	before, ok := m.Spread[legacy]
	after, ok2 := m.Spread[subject]
	if !ok || !ok2 {
		return "-"
	}
	return fmt.Sprintf("%.2f -> %.2f", before.Median, after.Median)
}

// overall is the first of the metrics that the suite has a geometric mean of.
func overall(s *report.Suite, metrics []string, subject string) string {
	for _, name := range metrics {
		for _, o := range s.Overall {
			if v, ok := o.Versus[subject]; ok && o.Metric == name {
				return percent(v) + fmt.Sprintf(" (%d workloads)", o.Cases)
			}
		}
	}
	return "-"
}
