package designs

import (
	"context"
	"strconv"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/subject"
	"github.com/vcmalloc/vcmalloc/bench/work"
)

var percpuResize = Design{
	Name: "percpu_resize", Features: "-all,+percpu_resize", Title: "Fig. 5.10: heterogeneous per-CPU caches",
	Columns: vcpuColumns, Cases: longLoads, Finish: tellTicks,
}

// percpuRule asks which rule moves capacity better. Everything else is as users have it.
var percpuRule = Design{
	Name: "percpu_rule", Features: "+all", Set: []string{policy + "demand"}, Title: "Rules for per-CPU budgets: demand against the paper's",
	Before:  Side{Name: "the paper's rule", Features: "+all", Env: []string{policy + "paper"}},
	Columns: vcpuColumns, Cases: longLoads, OnlyOwn: true, Finish: tellTicks,
}

const policy = "VCMALLOC_PERCPU_POLICY="

var vcpuColumns = []Column{{"per-CPU capacity, MiB", beforeAfter("per-CPU capacity")}, {"misses, /s", beforeAfter("per-CPU misses")}}

// longLoads are the loads of Fig. 5.9a, 64 threads at most, for long enough to see caches resized, which happens every 5
// s; and with that every 0.5 s, so that a day has 30 of these and not 6.
func longLoads(_ context.Context, l *lab.Lab) ([]runner.Case, error) {
	long := lab.Pick(l.Size, 40000000, 7500000, 5000)
	out := []runner.Case{
		work.KeyValue(l, "diurnal, long", "day", long), work.KeyValue(l, "bursts, long", "bursts", long),
		ticking(work.KeyValue(l, "diurnal, fast ticks", "day", long/2), 100), ticking(work.KeyValue(l, "bursts, fast ticks", "bursts", long/2), 100),
	}
	for i := range out {
		out[i].NoWarmup = true // the start is a small part of it
		out[i].Optional = i >= 2
	}
	return out, nil
}

// ticking has both sides do their background work every so many milliseconds, instead of every 1000.
func ticking(c runner.Case, ms int) runner.Case {
	return c.With(func(s subject.Subject) subject.Subject {
		s.Env = append(s.Env[:len(s.Env):len(s.Env)], "VCMALLOC_TICK="+strconv.Itoa(ms))
		return s
	})
}

func tellTicks(s *report.Suite, _ *Design) {
	s.Notes = append(s.Notes, "Fast ticks: both sides run with `VCMALLOC_TICK=100`, so all background work, "+
		"resizing caches as well as returning memory, is done ten times as often. A process has at most as many vCPUs as the machine has CPUs: on two, a rule "+
		"has two to choose from.")
}
