package designs

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
	"github.com/vcmalloc/vcmalloc/bench/work"
)

// nuca is measured on a machine that is said to have two domains: with one, the design's layer is not there.
var nuca = Design{
	Name: "nuca", Features: "-all,+nuca", Title: "Table 5.1: NUCA-aware transfer caches",
	Env: func(*lab.Lab) []string { return []string{"VCMALLOC_TOPOLOGY=" + halves(runtime.NumCPU())} },
	Columns: []Column{
		{"crossed share, %", beforeAfter(crossMetrics[0].Name)},
		{"crossed objects, /s", beforeAfter(crossMetrics[1].Name)},
		{"avoidable share, %", beforeAfter(crossMetrics[2].Name)},
		{"carried, /s", beforeAfter(crossMetrics[3].Name)},
	},
	Cases: boundCases,
	Finish: func(s *report.Suite, _ *Design) {
		s.Notes = append(s.Notes,
			"Crossed objects were handed out in another domain than the one that freed them; share of all that transfer caches and "+
				"spans handed out again. Avoidable: beyond those by which a domain was ahead of its own frees with what it was "+
				"handed of a class, which any allocator must hand across however much memory it keeps. Carried: objects in a per-CPU cache when its vCPU was found in another domain, an upper bound of what crossed within it.",
			"Cases named bound have each thread bound to one CPU, in turn. The two domains are said, not there: a CPU of this machine pays "+
				"nothing for a crossing, so throughput shows the layer's cost and not its gain; `bench nuca-sim` sizes the gain.")
	},
}

// boundCases are producers and consumers on bound threads, and workloads whose threads are bound from outside.
func boundCases(ctx context.Context, l *lab.Lab) ([]runner.Case, error) {
	seconds := lab.Pick(l.Size, 6, 4, 2)
	out := []runner.Case{
		domains(l, "hand-off within domains", "within", "4 pairs of a producer and a consumer, both on one CPU.", seconds),
		domains(l, "hand-off across domains", "across", "4 pairs of a producer and a consumer on different CPUs: what is freed in one domain is "+
			"needed in the other, whatever the allocator does.", seconds),
	}
	cases, err := workloads(ctx, l)
	if err != nil {
		return nil, err
	}
	shim, err := l.CC.Shared(ctx, "shim_bind.c", "-ldl")
	if err != nil {
		return nil, err
	}
	for _, c := range cases {
		if !slices.Contains([]string{"synthetic fleet", "redis, mixed", "pipeline", "key-value"}, c.Name) {
			continue
		}
		c.Name += ", bound"
		out = append(out, c.With(func(s subject.Subject) subject.Subject {
			s.Preload = shim + ":" + s.Preload
			return s
		}))
	}
	return out, nil
}

func domains(l *lab.Lab, name, mode, about string, seconds int) runner.Case {
	var binary string
	return runner.Case{
		Name: name, About: about, Cost: time.Duration(seconds) * time.Second, NoWarmup: true,
		Metrics: append([]runner.Metric{{Name: work.Throughput, Unit: "op/s", Direction: stat.Higher, Main: true}}, l.SystemMetrics()...),
		Prepare: func(ctx context.Context) (err error) {
			binary, err = l.CC.Program(ctx, "domains.cc")
			return err
		},
		Run: func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			return l.Measure(ctx, s, 100*time.Millisecond, binary, mode, fmt.Sprint(seconds), "4")
		},
	}
}

// halves splits n CPUs into two domains, in the notation of VCMALLOC_TOPOLOGY.
func halves(n int) string {
	if n < 2 {
		return "0"
	}
	list := func(from, to int) string {
		if from == to {
			return fmt.Sprint(from)
		}
		return fmt.Sprintf("%d-%d", from, to)
	}
	return list(0, n/2-1) + ";" + list(n/2, n-1)
}
