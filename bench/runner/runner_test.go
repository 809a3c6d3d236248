package runner

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

var metric = Metric{Name: "m", Unit: "ns", Direction: stat.Lower, Main: true}

func subjects(names ...string) (out []subject.Subject) {
	for _, n := range names {
		out = append(out, subject.Subject{Name: n})
	}
	return out
}

func one(t *testing.T, p Plan, c Case, names ...string) *report.Case {
	t.Helper()
	r := Runner{Plan: p}
	out, err := r.Run(context.Background(), []Suite{{Name: "s", Baseline: names[0], Subjects: subjects(names...), Cases: []Case{c}}})
	require.NoError(t, err)
	return out[0].Cases[0]
}

func TestRoundsInterleaveAndRotate(t *testing.T) {
	var order strings.Builder
	c := one(t, Plan{Rounds: 3, Warmup: 1}, Case{Name: "c", Metrics: []Metric{metric}, Run: func(_ context.Context, s subject.Subject) (Sample, error) {
		order.WriteString(s.Name)
		return Sample{Figures: map[string]float64{"m": 1}}, nil
	}}, "A", "B", "C")
	assert.Equal(t, "ABC"+"BCA"+"CAB"+"ABC", order.String())
	assert.Equal(t, 3, c.Rounds)
	assert.Len(t, c.Metrics[0].Values["B"], 3, "the warm-up is not kept")
}

func TestAFailureConcernsItsSubjectAlone(t *testing.T) {
	runs := map[string]int{}
	cleaned := false
	c := one(t, Plan{Rounds: 4}, Case{Name: "c", Metrics: []Metric{metric}, Cleanup: func() { cleaned = true },
		Run: func(_ context.Context, s subject.Subject) (Sample, error) {
			runs[s.Name]++
			if s.Name == "B" && runs["B"] == 2 {
				return Sample{}, errors.New("wrong result")
			}
			return Sample{Figures: map[string]float64{"m": 1}}, nil
		}}, "A", "B")
	assert.Equal(t, map[string]int{"A": 4, "B": 2}, runs)
	assert.Equal(t, map[string]string{"B": "wrong result"}, c.Failed)
	assert.True(t, cleaned)
}

func TestBudgetEndsACaseAfterTheLeastRounds(t *testing.T) {
	c := one(t, Plan{Rounds: 1000, MinRounds: 3, Budget: time.Nanosecond}, Case{Name: "c", Metrics: []Metric{metric},
		Run: func(context.Context, subject.Subject) (Sample, error) {
			return Sample{Figures: map[string]float64{"m": 1}}, nil
		}}, "A")
	assert.Equal(t, 3, c.Rounds)
}

func TestACaseThatCanNotBePreparedFailsForAll(t *testing.T) {
	c := one(t, Plan{Rounds: 1}, Case{Name: "c", Prepare: func(context.Context) error { return errors.New("no redis here") }}, "A", "B")
	assert.Len(t, c.Failed, 2)
	assert.Contains(t, c.Failed["A"], "no redis here")
}

func TestCancellationEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r := Runner{Plan: Plan{Rounds: 100}}
	n := 0
	_, err := r.Run(ctx, []Suite{{Baseline: "A", Subjects: subjects("A"), Cases: []Case{{Name: "c", Run: func(context.Context, subject.Subject) (Sample, error) {
		if n++; n == 2 {
			cancel()
		}
		return Sample{}, nil
	}}}}})
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 2, n)
}

func TestWideIntervalsStretchACase(t *testing.T) {
	values := func(noise float64) (rounds int) {
		n := 0
		c := one(t, Plan{Rounds: 4, Stretch: time.Minute, Width: 0.05, MaxRounds: 9}, Case{Name: "c", Metrics: []Metric{metric},
			Run: func(_ context.Context, s subject.Subject) (Sample, error) {
				n++
				v := 10.0
				if s.Name == "B" && n%3 == 0 {
					v *= 1 + noise
				}
				return Sample{Figures: map[string]float64{"m": v}}, nil
			}}, "A", "B")
		return c.Rounds
	}
	assert.Equal(t, 4, values(0.01), "narrow enough")
	assert.Equal(t, 9, values(0.5), "never narrow enough")
}

func TestEstimateKnowsRoundsAndBudgets(t *testing.T) {
	s := Suite{Subjects: subjects("A", "B"), Cases: []Case{{Name: "short", Cost: time.Second}, {Name: "long", Cost: time.Minute}}}
	r := Runner{Plan: Plan{Rounds: 10, MinRounds: 3, Warmup: 1, Budget: time.Minute}}
	assert.Equal(t, 11*2*time.Second+4*2*time.Minute, r.Estimate(&s))
}

func TestARunThatHangsFails(t *testing.T) {
	r := Runner{Plan: Plan{Rounds: 1}, Timeout: time.Millisecond}
	out, err := r.Run(context.Background(), []Suite{{Baseline: "A", Subjects: subjects("A"), Cases: []Case{{Name: "c", Run: func(ctx context.Context, _ subject.Subject) (Sample, error) {
		<-ctx.Done()
		return Sample{}, ctx.Err()
	}}}}})
	require.NoError(t, err)
	assert.Contains(t, out[0].Cases[0].Failed["A"], "not done after 1ms")
}

func TestSubjectsRunTogetherWhereTheCaseCan(t *testing.T) {
	var order []string
	c := Case{Name: "c", Metrics: []Metric{metric}, Run: func(_ context.Context, s subject.Subject) (Sample, error) {
		t.Error("it was run alone")
		return Sample{}, nil
	}, Together: func(_ context.Context, subs []subject.Subject) ([]Sample, []error) {
		order = append(order, strings.Join(subject.Names(subs), ""))
		samples, errs := make([]Sample, len(subs)), make([]error, len(subs))
		for i, s := range subs {
			samples[i].Figures = map[string]float64{"m": float64(s.Name[0])}
			if s.Name == "B" {
				errs[i] = errors.New("crashed")
			}
		}
		return samples, errs
	}}
	c = c.With(func(s subject.Subject) subject.Subject { s.Env = []string{"x"}; return s })
	r := Runner{Plan: Plan{Rounds: 3}}
	out, err := r.Run(context.Background(), []Suite{{Name: "s", Baseline: "A", Subjects: subjects("A", "B", "C"), Cases: []Case{c}, Together: true}})
	require.NoError(t, err)
	assert.Equal(t, []string{"ABC", "CA", "CA"}, order)
	assert.Equal(t, report.Values{67, 67, 67}, out[0].Cases[0].Metric("m").Values["C"])
	assert.Contains(t, out[0].Cases[0].Failed["B"], "crashed")
}
