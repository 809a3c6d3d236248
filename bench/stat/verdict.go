package stat

import (
	"fmt"
	"math"
)

// Direction says which way a metric is good.
type Direction string

// The directions. Neutral metrics are shown and not ranked.
const (
	Lower   Direction = "lower"
	Higher  Direction = "higher"
	Neutral Direction = "neutral"
)

// Verdict on one ratio.
type Verdict string

// The verdicts. Unknown: too few rounds to have a spread at all.
const (
	NoDifference Verdict = "no difference"
	Better       Verdict = "better"
	Worse        Verdict = "worse"
	Differs      Verdict = "differs"
	Unknown      Verdict = "unknown"
)

// Comparison is one subject's metric against the baseline's.
type Comparison struct {
	Ratio   Interval `json:"ratio"`
	Diff    Interval `json:"difference"`
	Verdict Verdict  `json:"verdict"`
}

// Compare judges values against base, pairing them round by round.
func Compare(base, values []float64, dir Direction) Comparison {
	c := Comparison{Ratio: Spread(Ratios(base, values)), Diff: Spread(Differences(base, values))}
	c.Verdict = Judge(c.Ratio, dir)
	return c
}

// Judge says what a ratio means. Fewer than three rounds have no spread worth the name.
func Judge(ratio Interval, dir Direction) Verdict {
	switch {
	case ratio.N < 3 || math.IsNaN(ratio.Median):
		return Unknown
	case ratio.Covers(1):
		return NoDifference
	case dir == Neutral:
		return Differs
	case (ratio.Median < 1) == (dir == Lower):
		return Better
	default:
		return Worse
	}
}

// String prints the ratio as reports do: "no difference", or the ratio with its spread.
func (c Comparison) String() string {
	switch c.Verdict {
	case Unknown:
		if math.IsNaN(c.Ratio.Median) {
			return "-"
		}
		return fmt.Sprintf("%.3f (%d rounds)", c.Ratio.Median, c.Ratio.N)
	case NoDifference:
		return "no difference"
	}
	if c.Ratio.Median >= fromNothing {
		return "some against none"
	}
	return fmt.Sprintf("%.3f [%.3f-%.3f]", c.Ratio.Median, c.Ratio.Low, c.Ratio.High)
}
