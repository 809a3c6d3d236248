package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/cc"
	"github.com/vcmalloc/vcmalloc/bench/machine"
	"github.com/vcmalloc/vcmalloc/bench/proc"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// Lab is handed to every suite.
type Lab struct {
	Root     string // of the repository
	Work     string // scratch files, removed by the user's `make clean`
	CC       *cc.Compiler
	Launch   *proc.Launcher
	Machine  machine.Machine
	Subjects []subject.Subject // baseline included
	Baseline string
	Traces   []string        // recorded ones to replay instead of the synthetic
	Only     []string        // the options --only, as given
	Ours     subject.Subject // Preload is empty if the library is not built
	Size     Size
}

// Size of a run.
type Size int

// The sizes. Tiny is for tests of the bench itself: its figures mean nothing.
const (
	Full Size = iota
	Quick
	Tiny
)

// Pick chooses by size.
func Pick[T any](s Size, full, quick, tiny T) T { return [...]T{full, quick, tiny}[s] }

// Root finds the repository above the current directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "bench", "load", "micro.cc")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("run this inside the vcmalloc repository: bench/load/micro.cc is not above the current directory")
}

// New prepares the launcher. Subjects and Baseline are the caller's to fill.
func New(ctx context.Context, root string, size Size) (*Lab, error) {
	l := &Lab{
		Root: root, Work: filepath.Join(root, "build", "bench"), Size: size, Machine: machine.Here(),
		CC: &cc.Compiler{Source: filepath.Join(root, "bench", "load"), Out: filepath.Join(root, "build", "bench", "bin")},
	}
	path, err := l.CC.Program(ctx, "launch.c", "-static")
	if err != nil {
		return nil, err
	}
	l.Launch = &proc.Launcher{Path: path}
	return l, nil
}

// Dir makes an empty scratch directory; the caller removes it.
func (l *Lab) Dir(name string) (string, error) {
	base := filepath.Join(l.Work, "tmp")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(base, name+"-")
}

// Millis is d in milliseconds, as the generators want it.
func Millis(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// Figures parses the one JSON object that a generator prints: names and numbers.
func Figures(out []byte) (map[string]float64, error) {
	f := map[string]float64{}
	if err := json.Unmarshal(out, &f); err != nil {
		return nil, fmt.Errorf("a generator printed %q: %w", out, err)
	}
	return f, nil
}

// The metrics that every program has, with the names that Account uses.
var (
	PeakRSS  = runner.Metric{Name: "peak resident", Unit: "MiB", Direction: stat.Lower, Main: true}
	AvgRSS   = runner.Metric{Name: "average resident", Unit: "MiB", Direction: stat.Lower, Main: true}
	Faults   = runner.Metric{Name: "page faults", Unit: "", Direction: stat.Lower}
	Switches = runner.Metric{Name: "context switches", Unit: "", Direction: stat.Neutral}
	CPUTime  = runner.Metric{Name: "cpu time", Unit: "s", Direction: stat.Lower}
	System   = runner.Metric{Name: "system time", Unit: "s", Direction: stat.Lower}
	Coverage = runner.Metric{Name: "hugepage coverage", Unit: "%", Direction: stat.Neutral}
	CPI      = runner.Metric{Name: "CPI", Unit: "", Direction: stat.Lower}
	LLC      = runner.Metric{Name: "LLC load MPKI", Unit: "", Direction: stat.Lower}
	DTLB     = runner.Metric{Name: "dTLB load MPKI", Unit: "", Direction: stat.Lower}
)

// SystemMetrics are those a workload shows besides its own: counters only where the machine has them.
func (l *Lab) SystemMetrics() []runner.Metric {
	m := []runner.Metric{PeakRSS, AvgRSS, Coverage, Faults, Switches, CPUTime, System}
	if l.Machine.Counters {
		m = append(m, CPI, LLC, DTLB)
	}
	return m
}

// Account adds what the system says of a run to figures.
func Account(figures map[string]float64, r *proc.Result) {
	const mib = 1 << 20
	figures[PeakRSS.Name] = r.PeakRSS / mib
	figures[Faults.Name] = r.Minor + r.Major
	figures[Switches.Name] = r.Voluntary + r.Involuntary
	figures[CPUTime.Name] = (r.User + r.System).Seconds()
	figures[System.Name] = r.System.Seconds()
	if m := r.Memory; m != nil {
		figures[AvgRSS.Name] = m.AvgRSS / mib
		figures[Coverage.Name] = 100 * m.Coverage
	}
	if c := r.Counters; c != nil {
		figures[CPI.Name] = c.Cycles / c.Instructions
		figures[LLC.Name] = 1000 * c.LLCMisses / c.Instructions
		figures[DTLB.Name] = 1000 * c.TLBMisses / c.Instructions
	}
}

// Line is the run's resident memory over time.
func Line(r *proc.Result) *report.Line {
	if r.Memory == nil {
		return nil
	}
	var l report.Line
	for _, k := range r.Memory.Looks {
		l.Seconds = append(l.Seconds, k.At.Seconds())
		l.Bytes = append(l.Bytes, k.RSS)
	}
	return &l
}
