package designs

import (
	"fmt"
	"math"
	"slices"

	"github.com/vcmalloc/vcmalloc/bench/fleet"
	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/work"
)

// Column of a design's table: what stands in it for one case. "-" is nothing; a column of nothing is left out.
type Column struct {
	Header string
	Cell   func(c *report.Case, before, after string) string // of subjects
}

// columns that all designs' tables have.
var columns = []Column{
	{"throughput", change(work.Throughput)},
	{"memory", func(c *report.Case, before, after string) string { return change(memory(c))(c, before, after) }},
	{"peak memory", func(c *report.Case, before, after string) string { return change(peak(c))(c, before, after) }},
	{"fragmentation", change(work.Waste.Name)},
	{"hugepage coverage, %", beforeAfter(lab.Coverage.Name)},
	{"CPI", change(lab.CPI.Name)},
	{"LLC load MPKI", beforeAfter(lab.LLC.Name)},
	{"dTLB load MPKI", beforeAfter(lab.DTLB.Name)},
	{"page heap, MiB", beforeAfter("page heap free")},
	{"central, MiB", beforeAfter("central free list")},
	{"per-CPU, MiB", beforeAfter("per-CPU caches")},
	{"transfer, MiB", beforeAfter("transfer caches")},
}

// table of one design, in the paper's shape.
func table(s *report.Suite, d *Design) report.Table {
	t := report.Table{
		Title: d.Title, About: "Changes against " + s.Baseline + ", with their intervals; before -> after are medians. Memory is the average over the run.",
		Header: []string{"workload"},
	}
	rows := make([][]string, len(s.Cases))
	for i, c := range s.Cases {
		rows[i] = []string{c.Name}
	}
	last := []string{"geometric mean"}
	for _, col := range slices.Concat(columns, d.Columns) {
		cells := make([]string, len(s.Cases))
		for i, c := range s.Cases {
			cells[i] = col.Cell(c, s.Baseline, d.Name)
		}
		if !slices.ContainsFunc(cells, func(v string) bool { return v != "-" }) {
			continue
		}
		t.Header = append(t.Header, col.Header)
		for i := range rows {
			rows[i] = append(rows[i], cells[i])
		}
		last = append(last, mean(s, col.Header, d.Name))
	}
	t.Rows = append(rows, last)
	return t
}

// mean of the column over the workloads, where it is a ratio.
func mean(s *report.Suite, header, subject string) string {
	var metric func(*report.Case) string
	switch header {
	case "throughput":
		metric = func(*report.Case) string { return work.Throughput }
	case "memory":
		metric = memory
	case "peak memory":
		metric = peak
	default:
		return ""
	}
	v, n := s.Mean(metric, subject)
	if n < 2 {
		return ""
	}
	return percent(v) + fmt.Sprintf(" (%d)", n)
}

// memory is the name of the case's figure of memory: averages are what the paper reports.
func memory(c *report.Case) string {
	if c.Metric(lab.AvgRSS.Name) != nil {
		return lab.AvgRSS.Name
	}
	return fleet.AverageHeap
}

func peak(c *report.Case) string {
	if c.Metric(lab.PeakRSS.Name) != nil {
		return lab.PeakRSS.Name
	}
	return "peak heap"
}

// change of a metric in per cent, or "no difference".
func change(metric string) func(c *report.Case, before, after string) string {
	return func(c *report.Case, _, after string) string {
		m := c.Metric(metric)
		if m == nil {
			return "-"
		}
		return percent(m.Versus[after])
	}
}

func percent(v stat.Comparison) string {
	switch {
	case v.Ratio.N == 0 || math.IsNaN(v.Ratio.Median):
		return "-"
	case v.Verdict == stat.NoDifference:
		return fmt.Sprintf("no difference (%+.1f to %+.1f)", 100*(v.Ratio.Low-1), 100*(v.Ratio.High-1))
	}
	if v.Verdict == stat.Unknown {
		return fmt.Sprintf("%+.2f %% (%d rounds)", 100*(v.Ratio.Median-1), v.Ratio.N)
	}
	return fmt.Sprintf("%+.2f %% [%+.2f, %+.2f]", 100*(v.Ratio.Median-1), 100*(v.Ratio.Low-1), 100*(v.Ratio.High-1))
}

// beforeAfter shows a metric's medians.
func beforeAfter(metric string) func(c *report.Case, before, after string) string {
	return func(c *report.Case, before, after string) string {
		m := c.Metric(metric)
		if m == nil {
			return "-"
		}
		old, ok := m.Spread[before]
		now, ok2 := m.Spread[after]
		if !ok || !ok2 {
			return "-"
		}
		return fmt.Sprintf("%.2f -> %.2f", old.Median, now.Median)
	}
}
