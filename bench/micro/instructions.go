package micro

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

var (
	count    = runner.Metric{Name: "instructions", Unit: "/op", Direction: stat.Lower, Main: true}
	multiple = runner.Metric{Name: "multiple of the empty pair", Unit: "x", Direction: stat.Neutral}
)

// collected is callgrind's line of all instructions read.
var collected = regexp.MustCompile(`Collected\s*:\s*(\d+)`)

// instructions is the suite of instruction counts. Under callgrind, a program is run with n and with 3n operations:
// their difference has no start-up in it. The loop around an operation is counted the same way and taken off.
func instructions(l *lab.Lab, path, linked string, empty subject.Subject) runner.Suite {
	s := runner.Suite{
		Name: "instructions", Title: "Instructions per operation",
		About: "Counted in one thread, in two ways. Under valgrind's callgrind: the difference of two runs of different length, less the loop " +
			"itself. Stepped: the program is single-stepped on the processor from before the call to behind it, PLT included; restartable " +
			"sequences, which a step would abort, run to their end and are counted in the disassembly. Counts are not time.",
		Baseline: l.Baseline, Subjects: l.Subjects,
		Plan: &runner.Plan{Rounds: 3, MinRounds: 3, Budget: 3 * time.Minute},
	}
	var noRseq atomic.Bool
	var unknown sync.Map          // names of subjects
	known := map[string]float64{} // by subject and point: of the loop, and of the floor
	once := func(ctx context.Context, sub subject.Subject, p point, f func(context.Context, subject.Subject, point) (float64, error)) (float64, error) {
		key := sub.Name + " " + p.name()
		v, ok := known[key]
		var err error
		if !ok {
			if v, err = f(ctx, sub, p); err == nil {
				known[key] = v
			}
		}
		return v, err
	}
	measure := func(ctx context.Context, sub subject.Subject, p point) (float64, error) {
		n, path := lab.Pick(l.Size, 60000, 20000, 2000), path
		if sub.Name == empty.Name {
			path, sub.Preload = linked, ""
		}
		few, _, err := callgrind(ctx, path, sub, p, n)
		if err != nil {
			return 0, err
		}
		many, rseq, err := callgrind(ctx, path, sub, p, 3*n)
		if rseq == 0 {
			noRseq.Store(true)
		}
		// What the generator really did: whole chunks or batches.
		return (many.instructions - few.instructions) / (many.ops - few.ops), err
	}
	loopless := func(ctx context.Context, sub subject.Subject, p point) (float64, error) {
		v, err := measure(ctx, sub, p)
		if err != nil || p.mode != "pair" && p.mode != "calloc" && p.mode != "delete" { // these share none's loop
			return v, err
		}
		loop, err := once(ctx, sub, point{"", "none", 64, 1}, measure)
		return v - loop, err
	}
	for _, p := range lab.Pick(l.Size, []point{
		{"", "pair", 8, 1}, {"", "pair", 16, 1}, {"", "pair", 64, 1}, {"", "pair", 256, 1}, {"", "pair", 1024, 1}, {"", "pair", 4096, 1},
		{"", "shuffle", 64, 1}, {"", "calloc", 64, 1}, {"", "delete", 64, 1}, {"", "realloc", 4096, 1}, {"", "mixed", 0, 1},
	}, []point{{"", "pair", 64, 1}, {"", "mixed", 0, 1}}, []point{{"", "pair", 64, 1}}) {
		s.Cases = append(s.Cases, runner.Case{
			Name: p.name() + ", callgrind", Metrics: []runner.Metric{count, multiple}, Cost: 900 * time.Millisecond, NoWarmup: true,
			Prepare: func(context.Context) error {
				if _, err := exec.LookPath("valgrind"); err != nil {
					return fmt.Errorf("valgrind is not installed (package valgrind; `go run ./bench setup`)")
				}
				return nil
			},
			Run: func(ctx context.Context, sub subject.Subject) (runner.Sample, error) {
				v, err := loopless(ctx, sub, p)
				if errors.Is(err, errUnknown) {
					unknown.Store(sub.Name, true)
					return runner.Sample{}, nil
				}
				if err != nil {
					return runner.Sample{}, err
				}
				f := map[string]float64{count.Name: v}
				if p.mode == "pair" {
					floor, err := once(ctx, empty, p, loopless)
					if err != nil {
						return runner.Sample{}, err
					}
					f[multiple.Name] = v / floor
				}
				return runner.Sample{Figures: f}, nil
			},
		})
	}
	s.Cases = append(s.Cases, stepped(l, empty)...)
	s.Finish = func(out *report.Suite) {
		unknown.Range(func(name, _ any) bool {
			out.Notes = append(out.Notes, fmt.Sprintf("valgrind does not know an instruction of %s and can't run it: no counts.", name))
			return true
		})
		if noRseq.Load() {
			out.Notes = append(out.Notes, "valgrind does not let programs register restartable sequences: vcmalloc is counted on its fallback path with a lock here, "+
				"which is longer than the path it takes outside. The other allocators use none and are counted as they are.")
		}
	}
	return s
}

// errUnknown: the program has an instruction that valgrind can't translate.
var errUnknown = errors.New("an instruction that valgrind does not know")

type counted struct{ instructions, ops float64 }

func callgrind(ctx context.Context, path string, sub subject.Subject, p point, n int) (counted, float64, error) {
	cmd := exec.CommandContext(ctx, "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", path, p.mode, fmt.Sprint(p.size), fmt.Sprintf("ops:%d", n))
	cmd.Env = sub.Environ(os.Environ())
	var out, text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &text
	if err := cmd.Run(); err != nil {
		if bytes.Contains(text.Bytes(), []byte("Unrecognised instruction")) {
			return counted{}, 0, errUnknown
		}
		return counted{}, 0, fmt.Errorf("under valgrind: %w: %s", err, text.Bytes())
	}
	total, err := parseCollected(text.Bytes())
	if err != nil {
		return counted{}, 0, err
	}
	f, err := lab.Figures(out.Bytes())
	return counted{total, f["ops"]}, f["rseq"], err
}

func parseCollected(text []byte) (float64, error) {
	m := collected.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no count in callgrind's output: %s", text)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
