package report

import (
	_ "embed"
	"html/template"
	"io"
	"strings"

	"github.com/vcmalloc/vcmalloc/bench/stat"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"join": strings.Join}).Parse(pageText))

type htmlPage struct {
	*Report
	Head   []string
	Sheets []htmlSuite
}

type htmlSuite struct {
	*Suite
	Ranks     []string
	Figures   []figure
	Timelines []figure
	More      []figure
	Keys      []key
	Rows      []htmlRow
	Broken    []string
}

type htmlRow struct {
	Case, About string
	Rounds      int
	First       bool
	Span        int
	Metric      string
	Cells       []htmlCell
}

type htmlCell struct{ Figure, Ratio, Class string }

// WriteHTML is WriteText for a browser, with plots. The file refers to no other.
func (r *Report) WriteHTML(w io.Writer) error {
	p := htmlPage{Report: r, Head: r.Machine.Lines()}
	for _, s := range r.Suites {
		h := htmlSuite{Suite: s, Keys: s.keys()}
		var err error
		if h.Figures, err = s.figures(); err != nil {
			return err
		}
		if h.Timelines, err = s.timelines(); err != nil {
			return err
		}
		if h.More, err = s.extras(); err != nil {
			return err
		}
		for i := range s.Overall {
			h.Ranks = append(h.Ranks, s.rankLine(&s.Overall[i]))
		}
		for _, c := range s.Cases {
			h.Rows = append(h.Rows, s.htmlRows(c)...)
			for _, f := range c.failures(s.Subjects) {
				h.Broken = append(h.Broken, c.Name+" under "+f.who+": "+f.why)
			}
		}
		p.Sheets = append(p.Sheets, h)
	}
	return page.Execute(w, p)
}

func (s *Suite) htmlRows(c *Case) []htmlRow {
	var rows []htmlRow
	for i, m := range c.Metrics {
		if len(m.Spread) == 0 && (len(c.Failed) == 0 || i > 0) {
			continue
		}
		row := htmlRow{Case: c.Name, About: c.About, Rounds: c.Rounds, First: len(rows) == 0, Metric: metricLabel(m)}
		for _, sub := range s.Subjects {
			cell := htmlCell{}
			cell.Figure, cell.Ratio = c.cell(m, sub.Name, s.Baseline)
			switch m.Versus[sub.Name].Verdict {
			case stat.Better:
				cell.Class = "better"
			case stat.Worse:
				cell.Class = "worse"
			case stat.NoDifference:
				cell.Class = "same"
			}
			if cell.Figure == "FAILED" {
				cell.Class = "failed"
			}
			row.Cells = append(row.Cells, cell)
		}
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		rows[0].Span = len(rows)
	}
	return rows
}
