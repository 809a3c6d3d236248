package runner

import (
	"fmt"
	"math"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

var nan = math.NaN()

// Estimate is about how long the suite will take: by its cases' costs, rounds and budgets, without what a case
// may stretch.
func (r *Runner) Estimate(s *Suite) time.Duration {
	var total time.Duration
	plan := r.plan(s)
	for i := range s.Cases {
		c := &s.Cases[i]
		rounds, warmup := plan.rounds(c)
		round := cost(c) * time.Duration(len(s.Subjects))
		took := round * time.Duration(rounds)
		if plan.Budget > 0 {
			took = min(took, max(plan.Budget+round/2, round*time.Duration(min(rounds, plan.MinRounds))))
		}
		total += took + round*time.Duration(warmup)
	}
	return total
}

// start makes the bar. Its unit is the estimated millisecond, so that the time it predicts stays sensible when
// short cases follow long ones. Where Out is no terminal, a line per case is printed instead.
func (r *Runner) start(suites []Suite) {
	if r.Out == nil {
		return
	}
	var total time.Duration
	for i := range suites {
		for j := range suites[i].Cases {
			c := &suites[i].Cases[j]
			rounds, warmup := r.plan(&suites[i]).rounds(c)
			total += cost(c) * time.Duration((rounds+warmup)*len(suites[i].Subjects))
		}
	}
	if f, ok := r.Out.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice == 0 {
			r.lines = true
			return
		}
	}
	r.bar = progressbar.NewOptions64(total.Milliseconds(),
		progressbar.OptionSetWriter(r.Out),
		progressbar.OptionSetWidth(20),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionThrottle(200*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
}

// began is told of each case, on the way.
func (r *Runner) began(suite, name string) {
	if r.lines {
		fmt.Fprintf(r.Out, "%s %s: %s\n", time.Now().Format(time.TimeOnly), suite, name)
	}
}

func (r *Runner) describe(suite, name, what string) {
	if r.bar != nil {
		r.bar.Describe(fmt.Sprintf("%-10s %-28.28s %-12.12s", suite, name, what))
	}
}

func (r *Runner) skip(c *Case, runs int) {
	if r.bar != nil && runs > 0 {
		_ = r.bar.Add64(cost(c).Milliseconds() * int64(runs))
	}
}

func cost(c *Case) time.Duration { return max(c.Cost, time.Millisecond) }
