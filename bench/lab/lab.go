package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/cc"
	"github.com/vcmalloc/vcmalloc/bench/machine"
	"github.com/vcmalloc/vcmalloc/bench/proc"
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

	// Times is how much larger than usual the inputs of a quick run are: few subjects leave time for more. 0: once.
	Times int
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

// Amount of work, by size: a quick one times Times, up to the full.
func (l *Lab) Amount(full, quick, tiny int) int {
	return Pick(l.Size, full, min(quick*max(l.Times, 1), full), tiny)
}

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
