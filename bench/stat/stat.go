package stat

import (
	"encoding/json"
	"math"
	"slices"
)

// wantLevel is the confidence that an interval has to reach where the number of rounds allows it. 99 rather than
// the usual 95 %, for one report holds some hundred verdicts.
const wantLevel = 0.99

// Interval is a median and what is known of it. Low and High enclose the true median with probability Level.
type Interval struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Level  float64 `json:"level"`
	N      int     `json:"n"`
}

// Covers tells whether v lies within the interval, its ends included.
func (i Interval) Covers(v float64) bool { return i.Low <= v && v <= i.High }

// Median of the values; NaN of none. The values are left as they are.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	if len(v)%2 == 1 {
		return v[mid]
	}
	return (v[mid-1] + v[mid]) / 2
}

// Spread is the median of the values and its interval.
func Spread(values []float64) Interval {
	n := len(values)
	if n == 0 {
		return Interval{Median: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	v := slices.Sorted(slices.Values(values))
	trim, level := rank(n)
	return Interval{Median: Median(v), Low: v[trim], High: v[n-1-trim], Level: level, N: n}
}

// rank returns how many of n sorted values may be left out at each end for the rest to span an interval of
// wantLevel, and the level of what remains. Leaving out none is all that small n allow.
func rank(n int) (trim int, level float64) {
	trim, level = 0, 1-2*tail(n, 0)
	for k := 1; 2*k < n; k++ {
		l := 1 - 2*tail(n, k)
		if l < wantLevel {
			break
		}
		trim, level = k, l
	}
	return trim, max(level, 0)
}

// tail is P(X <= k) for X ~ Binomial(n, 1/2).
func tail(n, k int) float64 {
	term := math.Exp2(-float64(n)) // C(n, 0) / 2^n
	sum := term
	for i := 1; i <= k; i++ {
		term *= float64(n-i+1) / float64(i)
		sum += term
	}
	return sum
}

// fromNothing stands for the ratio of something to nothing, which JSON can't hold.
const fromNothing = 1000

// Ratios divides round by round. Rounds in which a figure is missing (NaN) or the base is negative say nothing and
// are left out. Nothing to nothing is 1: where a count is mostly 0, leaving those rounds out would compare only the
// rounds in which the base happened to have one.
func Ratios(base, values []float64) []float64 {
	return pairs(base, values, func(b, v float64) (float64, bool) {
		switch {
		case b == 0 && v == 0:
			return 1, true
		case b == 0:
			return fromNothing, v > 0
		}
		return min(v/b, fromNothing), b > 0
	})
}

// Differences subtracts round by round.
func Differences(base, values []float64) []float64 {
	return pairs(base, values, func(b, v float64) (float64, bool) { return v - b, true })
}

func pairs(base, values []float64, f func(b, v float64) (float64, bool)) []float64 {
	var out []float64
	for i := range min(len(base), len(values)) {
		if math.IsNaN(base[i]) || math.IsNaN(values[i]) {
			continue
		}
		if r, ok := f(base[i], values[i]); ok {
			out = append(out, r)
		}
	}
	return out
}

// GeoMean of positive values; NaN if there are none.
func GeoMean(values []float64) float64 {
	sum, n := 0.0, 0
	for _, v := range values {
		if v > 0 && !math.IsInf(v, 0) {
			sum += math.Log(v)
			n++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return math.Exp(sum / float64(n))
}

// MarshalJSON writes an interval of nothing (NaN) as zeros with n = 0, which JSON can hold.
func (i Interval) MarshalJSON() ([]byte, error) {
	type plain Interval
	for _, f := range []*float64{&i.Median, &i.Low, &i.High, &i.Level} {
		if math.IsNaN(*f) || math.IsInf(*f, 0) {
			*f = 0
		}
	}
	return json.Marshal(plain(i))
}
