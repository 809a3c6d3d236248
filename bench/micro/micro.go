package micro

import (
	"context"
	"fmt"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/proc"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

var (
	nanos  = runner.Metric{Name: "time", Unit: "ns/op", Direction: stat.Lower, Main: true}
	floors = runner.Metric{Name: "multiple of the floor", Unit: "x", Direction: stat.Neutral}
	faults = runner.Metric{Name: "page faults", Unit: "/1000 op", Direction: stat.Neutral}
)

// point is one figure: a mode of the generator with its parameters.
type point struct {
	group, mode   string
	size, threads int
}

func (p point) name() string {
	switch {
	case p.mode == "mixed" && p.threads == 1:
		return "mixed, 1 thread"
	case p.mode == "mixed":
		return fmt.Sprintf("mixed, %d threads", p.threads)
	case p.mode == "cross":
		return fmt.Sprintf("cross %s, %d+%d", sizeName(p.size), p.threads, p.threads)
	case p.threads > 1:
		return fmt.Sprintf("%s %s, %d threads", p.mode, sizeName(p.size), p.threads)
	}
	return p.mode + " " + sizeName(p.size)
}

func sizeName(n int) string {
	switch {
	case n == 0:
		return "mixed sizes"
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

func points(size lab.Size) []point {
	pick := func(full, quick, tiny []int) []int { return lab.Pick(size, full, quick, tiny) }
	var out []point
	add := func(group, mode string, sizes []int) {
		for _, s := range sizes {
			out = append(out, point{group, mode, s, 1})
		}
	}
	add("pair", "pair", pick([]int{0, 8, 16, 32, 64, 128, 256, 512, 1 << 10, 4 << 10, 32 << 10, 256 << 10, 1 << 20, 4 << 20},
		[]int{0, 8, 16, 64, 256, 1 << 10, 32 << 10, 256 << 10, 4 << 20}, []int{64}))
	for _, t := range pick([]int{2, 16}, []int{2, 16}, nil) {
		for _, s := range pick([]int{0, 8, 16, 32, 64, 128, 256, 512, 1 << 10}, []int{0, 8, 64, 1 << 10}, nil) {
			out = append(out, point{fmt.Sprintf("pair, %d threads", t), "pair", s, t})
		}
	}
	sizes := pick([]int{8, 16, 64, 256, 1 << 10, 4 << 10, 32 << 10, 256 << 10, 1 << 20, 4 << 20},
		[]int{8, 64, 1 << 10, 32 << 10, 256 << 10, 4 << 20}, []int{64})
	add("batch", "order", sizes)
	add("batch", "shuffle", sizes)
	few := pick([]int{16, 256, 4 << 10, 256 << 10}, []int{64, 4 << 10}, nil)
	add("calloc", "calloc", few)
	add("aligned", "aligned", pick([]int{64, 1 << 10, 64 << 10}, []int{64}, nil))
	add("sized delete", "delete", pick([]int{16, 64, 1 << 10}, []int{64}, nil))
	add("realloc", "realloc", pick([]int{4 << 10, 256 << 10, 16 << 20}, []int{4 << 10, 1 << 20}, nil))
	for _, s := range pick([]int{0, 64, 1 << 10, 64 << 10}, []int{0, 64}, []int{64}) {
		for _, t := range pick([]int{1, 2, 8, 32}, []int{1, 2, 8, 32}, []int{1}) {
			out = append(out, point{"cross-thread", "cross", s, t})
		}
	}
	for _, t := range pick([]int{1, 2, 4, 8, 16, 32, 64}, []int{1, 2, 16, 64}, []int{2}) {
		out = append(out, point{"mixed", "mixed", 0, t})
	}
	return out
}

// Suite of all points.
func Suite(ctx context.Context, l *lab.Lab) ([]runner.Suite, error) {
	path, err := l.CC.Program(ctx, "micro.cc")
	if err != nil {
		return nil, err
	}
	empty, err := emptyShim(ctx, l)
	if err != nil {
		return nil, err
	}
	s := runner.Suite{
		Name: "micro", Title: "Single operations",
		About: "Each figure is a process of its own that times itself after a warm-up. An operation is a malloc and a free, " +
			"or what the name says; one byte of each object is written. One thread's figures are processor time, the allocator's own threads " +
			"included; those of several are the cost to a core: time x min(threads, cores) / operations. Batches have 10,000 live objects, fewer where that passes 256 MiB. " +
			"The floor, an empty malloc and free through the PLT, is measured anew in each round of the pairs.",
		Baseline: l.Baseline, Subjects: l.Subjects,
	}
	millis := lab.Pick(l.Size, 150, 28, 5)
	for _, p := range points(l.Size) {
		millis, floor := millis, l.Machine.FloorNanos
		if p.threads > 1 || p.mode == "cross" || p.mode == "mixed" {
			millis = max(millis, 30) // several turns of the scheduler
		}
		s.Cases = append(s.Cases, runner.Case{
			Name: p.name(), Group: p.group, Metrics: []runner.Metric{nanos, floors, faults},
			Cost: time.Duration(millis+millis/10+10) * time.Millisecond,
			Run: func(ctx context.Context, sub subject.Subject) (runner.Sample, error) {
				if p.mode == "pair" && sub.Name == l.Baseline {
					f, err := Measure(ctx, l, path, empty, p.mode, p.size, millis/2+1, 1)
					if err != nil {
						return runner.Sample{}, err
					}
					floor = f[nanos.Name]
				}
				f, err := Measure(ctx, l, path, sub, p.mode, p.size, millis, p.threads)
				if err == nil && floor > 0 {
					f[floors.Name] = f[nanos.Name] / floor
				}
				return runner.Sample{Figures: f}, err
			},
		})
	}
	// Under valgrind the floor can't be preloaded: its command is a shell script, which would get it too. Linked in, the
	// calls still go through the PLT.
	linked, err := l.CC.Program(ctx, "micro.cc", empty.Preload)
	if err != nil {
		return nil, err
	}
	return []runner.Suite{s, instructions(l, path, linked, empty)}, nil
}

// emptyShim is the floor as a subject: malloc and free that do nothing. Only "pair" runs on it.
func emptyShim(ctx context.Context, l *lab.Lab) (subject.Subject, error) {
	path, err := l.CC.Shared(ctx, "shim_empty.c")
	return subject.Subject{Name: "empty", Preload: path}, err
}

// Measure runs the generator at path once.
func Measure(ctx context.Context, l *lab.Lab, path string, sub subject.Subject, mode string, size, millis, threads int) (map[string]float64, error) {
	res, err := l.Launch.Run(ctx, proc.Command{
		Argv:    []string{path, mode, fmt.Sprint(size), fmt.Sprint(millis), fmt.Sprint(threads)},
		Subject: sub,
	})
	if err != nil {
		return nil, err
	}
	f, err := lab.Figures(res.Stdout)
	if err != nil {
		return nil, err
	}
	return map[string]float64{nanos.Name: f["ns"], faults.Name: f["faults"] / f["ops"] * 1000}, nil
}
