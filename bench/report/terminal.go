package report

import (
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/vcmalloc/vcmalloc/bench/stat"
)

// WriteText prints the report as tables.
func (r *Report) WriteText(w io.Writer) {
	for _, line := range r.Machine.Lines() {
		fmt.Fprintln(w, line)
	}
	for _, s := range r.Suites {
		s.writeText(w)
	}
}

func (s *Suite) writeText(w io.Writer) {
	fmt.Fprintf(w, "\n%s (%s). %s\n", s.Title, s.Name, s.About)
	for _, n := range s.Notes {
		fmt.Fprintln(w, "note:", n)
	}
	t := newTable(w)
	head := table.Row{"case", "metric"}
	for _, sub := range s.Subjects {
		name := sub.Name
		if name == s.Baseline {
			name += " (= 1)"
		}
		head = append(head, name)
	}
	t.AppendHeader(head)
	for _, c := range s.Cases {
		for i, m := range c.Metrics {
			if len(m.Spread) == 0 && (len(c.Failed) == 0 || i > 0) {
				continue
			}
			name := ""
			if i == 0 {
				name = fmt.Sprintf("%s\n%d rounds", c.Name, c.Rounds)
			}
			row := table.Row{name, metricLabel(m)}
			for _, sub := range s.Subjects {
				figure, ratio := c.cell(m, sub.Name, s.Baseline)
				row = append(row, strings.TrimRight(figure+"\n"+ratio, "\n"))
			}
			t.AppendRow(row)
		}
		t.AppendSeparator()
	}
	t.Render()
	for _, c := range s.Cases {
		for _, f := range c.failures(s.Subjects) {
			fmt.Fprintf(w, "FAILED: %s under %s: %s\n", c.Name, f.who, f.why)
		}
	}
	for _, o := range s.Overall {
		fmt.Fprintf(w, "%s\n", s.rankLine(&o))
	}
	for _, x := range s.Extra {
		x.writeText(w)
	}
}

func (x *Table) writeText(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", x.Title)
	if x.About != "" {
		fmt.Fprintln(w, x.About)
	}
	t := newTable(w)
	t.AppendHeader(toRow(x.Header))
	for _, r := range x.Rows {
		t.AppendRow(toRow(r))
	}
	t.Render()
}

func toRow(cells []string) table.Row {
	row := make(table.Row, len(cells))
	for i := range cells {
		row[i] = cells[i]
	}
	return row
}

func newTable(w io.Writer) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	return t
}

// ranking of an overall line, best first.
func (s *Suite) ranking(o *Overall) []ranked {
	out := []ranked{{Name: s.Baseline, Ratio: stat.Interval{Median: 1, Low: 1, High: 1}, Base: true}}
	for _, sub := range s.Subjects {
		if c, ok := o.Versus[sub.Name]; ok {
			out = append(out, ranked{Name: sub.Name, Ratio: c.Ratio, Verdict: c.Verdict})
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		if o.Direction == stat.Higher {
			return out[i].Ratio.Median > out[j].Ratio.Median
		}
		return out[i].Ratio.Median < out[j].Ratio.Median
	})
	return out
}

func (s *Suite) rankLine(o *Overall) string {
	var parts []string
	for _, r := range s.ranking(o) {
		switch {
		case r.Base:
			parts = append(parts, r.Name+" 1")
		case r.Verdict == stat.NoDifference:
			parts = append(parts, r.Name+" no difference")
		default:
			parts = append(parts, fmt.Sprintf("%s %.3f [%.3f-%.3f]", r.Name, r.Ratio.Median, r.Ratio.Low, r.Ratio.High))
		}
	}
	for _, sub := range s.Subjects {
		if _, ok := o.Versus[sub.Name]; !ok && sub.Name != s.Baseline {
			parts = append(parts, sub.Name+" incomplete")
		}
	}
	return fmt.Sprintf("%s, geometric mean of the ratios of %d cases, best first (%s is better): %s",
		o.Metric, o.Cases, o.Direction, strings.Join(parts, ", "))
}
