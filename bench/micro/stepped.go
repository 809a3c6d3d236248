package micro

import (
	"context"
	"fmt"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/steps"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// stepped are the exact counts of bench/steps: of a pair, and of many live objects, which have misses of the first
// cache among them.
func stepped(l *lab.Lab, empty subject.Subject) []runner.Case {
	mallocs := runner.Metric{Name: "instructions of malloc", Unit: "", Direction: stat.Lower, Main: true}
	frees := runner.Metric{Name: "instructions of free", Unit: "", Direction: stat.Lower, Main: true}
	pair := runner.Metric{Name: "instructions of both", Unit: "", Direction: stat.Lower, Main: true}
	var binary string
	floor := steps.Counts{}
	var out []runner.Case
	for _, live := range lab.Pick(l.Size, []int{1, 512}, []int{1, 128}, []int{1}) {
		for _, size := range lab.Pick(l.Size, []int{8, 16, 64, 256, 1 << 10, 32 << 10}, []int{64}, []int{64}) {
			rounds := max(1, 16/live)
			out = append(out, runner.Case{
				Name: fmt.Sprintf("%s, %d live, stepped", sizeName(size), live), Metrics: []runner.Metric{pair, mallocs, frees, multiple},
				Cost: time.Duration(live*rounds) * 2 * time.Millisecond, NoWarmup: true,
				Prepare: func(ctx context.Context) (err error) {
					if binary, err = l.CC.Program(ctx, "steps.c"); err == nil && floor.Malloc == 0 {
						floor, err = steps.Count(ctx, binary, empty, 64, 1, 4)
					}
					return err
				},
				Run: func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
					c, err := steps.Count(ctx, binary, s, size, live, rounds)
					if err != nil {
						return runner.Sample{}, err
					}
					both := c.Malloc + c.Free
					return runner.Sample{Figures: map[string]float64{
						pair.Name: both, mallocs.Name: c.Malloc, frees.Name: c.Free, multiple.Name: both / (floor.Malloc + floor.Free),
					}}, nil
				},
			})
		}
	}
	return out
}
