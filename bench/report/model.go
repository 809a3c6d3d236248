package report

import (
	"encoding/json"
	"io"
	"math"

	"github.com/vcmalloc/vcmalloc/bench/machine"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// Report is one run of bench.
type Report struct {
	Command string          `json:"command"`
	Date    string          `json:"date"` // RFC 3339
	Seconds float64         `json:"seconds"`
	Quick   bool            `json:"quick"`
	Machine machine.Machine `json:"machine"`
	Suites  []*Suite        `json:"suites"`
}

// Suite is a group of cases measured for the same subjects.
type Suite struct {
	Name     string            `json:"name"`
	Title    string            `json:"title"`
	About    string            `json:"about"`
	Notes    []string          `json:"notes,omitempty"` // what a reader must know to believe the figures
	Baseline string            `json:"baseline"`
	Subjects []subject.Subject `json:"subjects"`
	Cases    []*Case           `json:"cases"`
	Overall  []Overall         `json:"overall,omitempty"`
	Extra    []Table           `json:"extra,omitempty"`
	Plots    []Plot            `json:"plots,omitempty"`
}

// Case is one benchmark.
type Case struct {
	Name    string            `json:"name"`
	Group   string            `json:"group,omitempty"`
	About   string            `json:"about,omitempty"`
	Rounds  int               `json:"rounds"`
	Seconds float64           `json:"seconds"` // that its rounds took
	Metrics []*Metric         `json:"metrics"`
	Failed  map[string]string `json:"failed,omitempty"` // by subject: the first error
	Lines   []Line            `json:"lines,omitempty"`  // memory over time
	Plots   []Plot            `json:"plots,omitempty"`
}

// Metric is one figure of a case.
type Metric struct {
	Name      string                     `json:"name"`
	Unit      string                     `json:"unit"`
	Direction stat.Direction             `json:"direction"`
	Main      bool                       `json:"main"`   // in plots, ranks and geometric means
	Values    map[string]Values          `json:"values"` // by subject; one per round
	Spread    map[string]stat.Interval   `json:"spread"`
	Versus    map[string]stat.Comparison `json:"versus"` // all but the baseline
}

// Overall is the geometric mean of one metric's ratios over the cases of a suite.
type Overall struct {
	Metric    string                     `json:"metric"`
	Direction stat.Direction             `json:"direction"`
	Cases     int                        `json:"cases"`
	Versus    map[string]stat.Comparison `json:"versus"`
}

// Table is a free-form table, such as one in the shape of the paper's.
type Table struct {
	Title  string     `json:"title"`
	About  string     `json:"about,omitempty"`
	Header []string   `json:"header"`
	Rows   [][]string `json:"rows"`
}

// Line is one subject's resident memory over one run.
type Line struct {
	Subject string    `json:"subject"`
	Seconds []float64 `json:"seconds"`
	Bytes   []float64 `json:"bytes"`
}

// Kind of a plot.
type Kind string

// The kinds: lines over a number; bars side by side, or stacked, over names.
const (
	Curves  Kind = "curves"
	Bars    Kind = "bars"
	Stacked Kind = "stacked"
)

// Plot is a plot besides those that every suite has.
type Plot struct {
	Title   string   `json:"title"`
	Subject string   `json:"subject,omitempty"` // whose it is, where it is one subject's
	X       string   `json:"x,omitempty"`       // what the axes are, with units
	Y       string   `json:"y"`
	Kind    Kind     `json:"kind"`
	Names   []string `json:"names,omitempty"` // along the x axis of bars
	Series  []Series `json:"series"`
}

// Series is one curve, or one bar per name.
type Series struct {
	Name string `json:"name"`
	X    Values `json:"x,omitempty"` // of curves
	Y    Values `json:"y"`
}

// Values of the rounds. A round without a figure is NaN here and null in JSON.
type Values []float64

// MarshalJSON writes NaN as null.
func (v Values) MarshalJSON() ([]byte, error) {
	out := make([]*float64, len(v))
	for i := range v {
		if !math.IsNaN(v[i]) && !math.IsInf(v[i], 0) {
			out[i] = &v[i]
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Values) UnmarshalJSON(b []byte) error {
	var in []*float64
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*v = make(Values, len(in))
	for i, p := range in {
		(*v)[i] = math.NaN()
		if p != nil {
			(*v)[i] = *p
		}
	}
	return nil
}

// Judge computes spreads, ratios and geometric means from the values.
func (s *Suite) Judge() {
	for _, c := range s.Cases {
		for _, m := range c.Metrics {
			m.judge(s.Baseline)
		}
	}
	s.Overall = s.overall()
}

func (m *Metric) judge(baseline string) {
	m.Spread, m.Versus = map[string]stat.Interval{}, map[string]stat.Comparison{}
	for name, v := range m.Values {
		if kept := present(v); len(kept) > 0 {
			m.Spread[name] = stat.Spread(kept)
		}
		if c := stat.Compare(m.Values[baseline], v, m.Direction); name != baseline && c.Ratio.N > 0 {
			m.Versus[name] = c
		}
	}
}

// overall forms, per round, the geometric mean of the ratios of all cases, and then their spread: cases that all
// lean one way by little show where none does alone. A subject that lacks one of the cases has none.
func (s *Suite) overall() []Overall {
	var out []Overall
	for _, name := range s.mainMetrics() {
		o := Overall{Metric: name, Versus: map[string]stat.Comparison{}}
		var in []*Metric
		for _, c := range s.Cases {
			if m := c.Metric(name); m != nil && m.Main && len(present(m.Values[s.Baseline])) > 0 {
				in = append(in, m)
				o.Direction = m.Direction
			}
		}
		o.Cases = len(in)
		if o.Cases < 2 {
			continue
		}
		for _, sub := range s.Subjects {
			if sub.Name == s.Baseline {
				continue
			}
			if means := geometric(in, s.Baseline, sub.Name); len(means) > 0 {
				r := stat.Spread(means)
				o.Versus[sub.Name] = stat.Comparison{Ratio: r, Diff: stat.Spread(nil), Verdict: stat.Judge(r, o.Direction)}
			}
		}
		if len(o.Versus) > 0 {
			out = append(out, o)
		}
	}
	return out
}

// Mean is the geometric mean of a subject's ratios over the cases that have the metric, and how many those are. The
// metric's name may differ between cases.
func (s *Suite) Mean(metric func(*Case) string, subject string) (stat.Comparison, int) {
	var in []*Metric
	direction := stat.Neutral
	for _, c := range s.Cases {
		if m := c.Metric(metric(c)); m != nil && len(present(m.Values[s.Baseline])) > 0 {
			in, direction = append(in, m), m.Direction
		}
	}
	if len(in) == 0 {
		return stat.Comparison{}, 0
	}
	r := stat.Spread(geometric(in, s.Baseline, subject))
	return stat.Comparison{Ratio: r, Diff: stat.Spread(nil), Verdict: stat.Judge(r, direction)}, len(in)
}

// geometric means of the metrics' ratios, one per round that all have.
func geometric(in []*Metric, baseline, subject string) []float64 {
	var means []float64
	for round := 0; ; round++ {
		var ratios []float64
		for _, m := range in {
			b, v := m.Values[baseline], m.Values[subject]
			if round < len(b) && round < len(v) {
				ratios = append(ratios, stat.Ratios(b[round:round+1], v[round:round+1])...)
			}
		}
		if len(ratios) < len(in) {
			return means
		}
		means = append(means, stat.GeoMean(ratios))
	}
}

func (s *Suite) mainMetrics() []string {
	var names []string
	seen := map[string]bool{}
	for _, c := range s.Cases {
		for _, m := range c.Metrics {
			if m.Main && !seen[m.Name] {
				seen[m.Name] = true
				names = append(names, m.Name)
			}
		}
	}
	return names
}

// Case of the name, or nil.
func (s *Suite) Case(name string) *Case {
	for _, c := range s.Cases {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Metric of the name, or nil.
func (c *Case) Metric(name string) *Metric {
	for _, m := range c.Metrics {
		if m.Name == name {
			return m
		}
	}
	return nil
}

func present(v []float64) []float64 {
	var out []float64
	for _, x := range v {
		if !math.IsNaN(x) {
			out = append(out, x)
		}
	}
	return out
}

// WriteJSON writes the report for machines.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// ReadJSON reads a report back.
func ReadJSON(r io.Reader) (*Report, error) {
	var rep Report
	err := json.NewDecoder(r).Decode(&rep)
	return &rep, err
}
