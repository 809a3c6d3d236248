package report

import (
	"fmt"
	"math"

	"github.com/vcmalloc/vcmalloc/bench/stat"
)

// number prints a figure with three significant digits and no exponent.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "-"
	case a >= 1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case a >= 100 || a == 0:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// spread prints a median and how far its interval reaches to either side.
func spread(i stat.Interval) string {
	if i.N == 0 {
		return "-"
	}
	if i.High == i.Low {
		return number(i.Median)
	}
	return fmt.Sprintf("%s [%s-%s]", number(i.Median), number(i.Low), number(i.High))
}

// cell is one subject's entry of a metric: its figure, and below it what that is to the baseline's.
func (c *Case) cell(m *Metric, subject, baseline string) (figure, ratio string) {
	i, ok := m.Spread[subject]
	if !ok {
		if c.Failed[subject] != "" {
			return "FAILED", ""
		}
		return "-", ""
	}
	if v, ok := m.Versus[subject]; ok && subject != baseline {
		ratio = v.String()
	}
	return spread(i), ratio
}

func metricLabel(m *Metric) string {
	if m.Unit == "" {
		return m.Name
	}
	return m.Name + ", " + m.Unit
}

// rank orders the subjects of an overall line from best to worst, the baseline (1.0) among them.
type ranked struct {
	Name    string
	Ratio   stat.Interval
	Verdict stat.Verdict
	Base    bool
}
