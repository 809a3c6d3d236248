package report

import (
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown prints the report for docs/benchmarks.md: the machine, each suite's geometric means, its cases' main
// figures, and its tables. Losing rows are in it like winning ones, and failures are named.
func (r *Report) WriteMarkdown(w io.Writer) {
	date, _, _ := strings.Cut(r.Date, "T")
	fmt.Fprintf(w, "%s, `%s`, %.0f s.\n\n", date, r.Command, r.Seconds)
	for _, line := range r.Machine.Lines() {
		fmt.Fprintf(w, "- %s\n", line)
	}
	for _, s := range r.Suites {
		s.writeMarkdown(w)
	}
}

func (s *Suite) writeMarkdown(w io.Writer) {
	fmt.Fprintf(w, "\n### %s\n", s.Title)
	if len(s.Overall) > 0 {
		t := Table{Header: append([]string{"geometric mean", "better is"}, s.others()...)}
		for i := range s.Overall {
			o := &s.Overall[i]
			row := []string{fmt.Sprintf("%s, %d cases", o.Metric, o.Cases), string(o.Direction)}
			for _, sub := range s.Subjects {
				if sub.Name == s.Baseline {
					continue
				}
				cell := "incomplete"
				if v, ok := o.Versus[sub.Name]; ok {
					cell = v.String()
				}
				row = append(row, cell)
			}
			t.Rows = append(t.Rows, row)
		}
		fmt.Fprintf(w, "\nRatios to %s:\n", s.Baseline)
		t.writeMarkdown(w)
	}
	t := Table{Header: []string{"case", "metric"}}
	for _, sub := range s.Subjects {
		t.Header = append(t.Header, sub.Name)
	}
	for _, c := range s.Cases {
		for _, m := range c.Metrics {
			if !m.Main {
				continue
			}
			row := []string{c.Name, metricLabel(m)}
			for _, sub := range s.Subjects {
				figure, ratio := c.cell(m, sub.Name, s.Baseline)
				figure, _, _ = strings.Cut(figure, " [") // the ratio's interval is what counts
				if ratio != "" {
					figure += " (" + ratio + ")"
				}
				row = append(row, figure)
			}
			t.Rows = append(t.Rows, row)
		}
	}
	fmt.Fprintf(w, "\nMedians, and ratios to %s with their intervals:\n", s.Baseline)
	t.writeMarkdown(w)
	for _, x := range s.Extra {
		fmt.Fprintf(w, "\n%s. %s\n", x.Title, x.About)
		x.writeMarkdown(w)
	}
	for _, c := range s.Cases {
		for _, f := range c.failures(s.Subjects) {
			first, _, _ := strings.Cut(f.why, "\n")
			fmt.Fprintf(w, "\nFAILED: %s under %s: %s\n", c.Name, f.who, first)
		}
	}
}

// others are the subjects' names without the baseline's.
func (s *Suite) others() []string {
	var out []string
	for _, sub := range s.Subjects {
		if sub.Name != s.Baseline {
			out = append(out, sub.Name)
		}
	}
	return out
}

func (x *Table) writeMarkdown(w io.Writer) {
	line := func(cells []string) {
		fmt.Fprint(w, "|")
		for i := range x.Header {
			cell := ""
			if i < len(cells) {
				cell = strings.ReplaceAll(strings.ReplaceAll(cells[i], "|", "\\|"), "\n", " ")
			}
			fmt.Fprintf(w, " %s |", cell)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	line(x.Header)
	fmt.Fprintln(w, "|"+strings.Repeat(" --- |", len(x.Header)))
	for _, r := range x.Rows {
		line(r)
	}
}
