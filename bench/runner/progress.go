package runner

import (
	"fmt"
	"math"
	"time"

	"github.com/schollz/progressbar/v3"
)

var nan = math.NaN()

// start makes the bar. Its unit is the estimated millisecond, so that the time it predicts stays sensible when
// short cases follow long ones.
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
	r.bar = progressbar.NewOptions64(total.Milliseconds(),
		progressbar.OptionSetWriter(r.Out),
		progressbar.OptionSetWidth(20),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionThrottle(200*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
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
