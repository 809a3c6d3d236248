package stat

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMedianOfOddEvenAndNone(t *testing.T) {
	assert.Equal(t, 2.0, Median([]float64{3, 1, 2}))
	assert.Equal(t, 2.5, Median([]float64{4, 1, 2, 3}))
	assert.True(t, math.IsNaN(Median(nil)))
}

func TestIntervalIsWholeRangeUntilRoundsSuffice(t *testing.T) {
	for _, tc := range []struct {
		n, trim int
		level   float64
	}{
		{1, 0, 0}, {5, 0, 0.9375}, {7, 0, 0.984375}, {8, 0, 0.9921875},
		{11, 0, 0.9990234375}, {12, 1, 0.99365234375}, {21, 4, 0.992802619934082},
	} {
		trim, level := rank(tc.n)
		assert.Equal(t, tc.trim, trim, "n=%d", tc.n)
		assert.InDelta(t, tc.level, level, 1e-9, "n=%d", tc.n)
	}
}

// The interval's promise, checked on a skewed distribution whose median is known.
func TestIntervalCoversTheMedianAsOftenAsItSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{5, 11, 21} {
		const tries = 4000
		covered, level := 0, 0.0
		for range tries {
			v := make([]float64, n)
			for i := range v {
				v[i] = rng.ExpFloat64()
			}
			s := Spread(v)
			level = s.Level
			if s.Covers(math.Ln2) {
				covered++
			}
		}
		got := float64(covered) / tries
		assert.InDelta(t, level, got, 0.015, "n=%d", n)
	}
}

func TestSpreadLeavesItsInputAlone(t *testing.T) {
	v := []float64{3, 1, 2}
	Spread(v)
	assert.Equal(t, []float64{3, 1, 2}, v)
}

func TestRatiosPairRoundsAndSkipWhatIsMissing(t *testing.T) {
	nan := math.NaN()
	assert.Equal(t, []float64{2, 3}, Ratios([]float64{1, nan, 2, -1, 1}, []float64{2, 5, 6, 7, nan}))
	assert.Equal(t, []float64{1, fromNothing, 0}, Ratios([]float64{0, 0, 2}, []float64{0, 7, 0}), "counts that are mostly 0")
	assert.Equal(t, []float64{1}, Differences([]float64{1, 2}, []float64{2}))
}

// A machine that becomes slower during the run moves both; only pairing sees through it.
func TestDriftIsNotADifference(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	var a, b, c []float64
	for i := range 15 {
		drift := 1 + float64(i)/5
		noise := func() float64 { return 1 + 0.01*rng.NormFloat64() }
		a = append(a, drift*noise())
		b = append(b, drift*noise())
		c = append(c, 1.1*drift*noise())
	}
	assert.Equal(t, NoDifference, Compare(a, b, Lower).Verdict)
	assert.Equal(t, Worse, Compare(a, c, Lower).Verdict)
	assert.Equal(t, Better, Compare(a, c, Higher).Verdict)
	assert.InDelta(t, 1.1, Compare(a, c, Lower).Ratio.Median, 0.02)
}

func TestVerdicts(t *testing.T) {
	iv := func(lo, mid, hi float64, n int) Interval { return Interval{Median: mid, Low: lo, High: hi, N: n} }
	for _, tc := range []struct {
		name string
		iv   Interval
		dir  Direction
		want Verdict
	}{
		{"covers one", iv(0.9, 0.95, 1.0, 9), Lower, NoDifference},
		{"below, lower is better", iv(0.8, 0.9, 0.99, 9), Lower, Better},
		{"below, higher is better", iv(0.8, 0.9, 0.99, 9), Higher, Worse},
		{"above, lower is better", iv(1.01, 1.1, 1.2, 9), Lower, Worse},
		{"neutral", iv(1.01, 1.1, 1.2, 9), Neutral, Differs},
		{"two rounds say nothing", iv(1.1, 1.1, 1.1, 2), Lower, Unknown},
		{"exactly equal counts", iv(1, 1, 1, 3), Lower, NoDifference},
	} {
		assert.Equal(t, tc.want, Judge(tc.iv, tc.dir), tc.name)
	}
	assert.Equal(t, "no difference", Compare([]float64{1, 2, 3}, []float64{1, 2, 3}, Lower).String())
}

func TestSameDistributionIsRarelyCalledDifferent(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	const tries = 2000
	wrong := 0
	for range tries {
		a, b := make([]float64, 11), make([]float64, 11)
		for i := range a {
			a[i], b[i] = math.Exp(0.1*rng.NormFloat64()), math.Exp(0.1*rng.NormFloat64())
		}
		if Compare(a, b, Lower).Verdict != NoDifference {
			wrong++
		}
	}
	assert.Less(t, float64(wrong)/tries, 0.01)
}

func TestGeoMean(t *testing.T) {
	assert.InDelta(t, 1, GeoMean([]float64{0.5, 2}), 1e-12)
	assert.True(t, math.IsNaN(GeoMean(nil)))
	assert.InDelta(t, 3, GeoMean([]float64{3, 0, -1}), 1e-12, "what has no logarithm is left out")
}

func TestIntervalOfNothingIsValidJSON(t *testing.T) {
	b, err := json.Marshal(Spread(nil))
	require.NoError(t, err)
	assert.Contains(t, string(b), `"n":0`)
}
