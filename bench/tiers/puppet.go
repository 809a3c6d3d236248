package tiers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/proc"
	"github.com/vcmalloc/vcmalloc/bench/subject"
	"github.com/vcmalloc/vcmalloc/telemetry"
)

// puppet is a running bench/load/tiers.c.
type puppet struct {
	p    *proc.Process
	in   *os.File
	out  *bufio.Reader
	pipe *os.File
	dir  string // of the statistics block
	ours bool
}

func newPuppet(ctx context.Context, l *lab.Lab, binary string, s subject.Subject, ours bool) (*puppet, error) {
	dir, err := l.Dir("tiers")
	if err != nil {
		return nil, err
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer inR.Close()
	defer outW.Close()
	pp := &puppet{in: inW, out: bufio.NewReader(outR), pipe: outR, dir: dir, ours: ours}
	var env []string
	if ours { // the thread would do its work in the middle of ours
		env = []string{"VCMALLOC_STATS_DIR=" + dir, "VCMALLOC_BACKGROUND=0"}
	}
	pp.p, err = l.Launch.Start(ctx, proc.Command{Argv: []string{binary}, Subject: s, Env: env, Stdin: inR, Stdout: outW})
	if err != nil {
		pp.close()
		return nil, err
	}
	return pp, nil
}

// close lets the puppet end.
func (p *puppet) close() {
	p.in.Close()
	if p.p != nil {
		_, _ = p.p.Wait()
	}
	p.pipe.Close()
	os.RemoveAll(p.dir)
}

// do has a command carried out and returns the times it answers with, if any.
func (p *puppet) do(format string, args ...any) ([]float64, error) {
	command := fmt.Sprintf(format, args...)
	if _, err := io.WriteString(p.in, command+"\n"); err != nil {
		return nil, fmt.Errorf("tiers: %s: %w", command, err)
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("tiers: %s: %w", command, err)
	}
	if line == "ok\n" {
		return nil, nil
	}
	return parseTimes(line)
}

func parseTimes(line string) ([]float64, error) {
	f := strings.Fields(line)
	out := make([]float64, len(f))
	for i := range f {
		v, err := strconv.ParseFloat(f[i], 64)
		if err != nil {
			return nil, fmt.Errorf("tiers: time %q: %w", f[i], err)
		}
		out[i] = v
	}
	return out, nil
}

// counters of the library, now. Takes a second: that is how often it renews them.
func (p *puppet) counters() (*telemetry.Snapshot, error) {
	if _, err := p.do("s"); err != nil {
		return nil, err
	}
	return telemetry.ReadFile(filepath.Join(p.dir, fmt.Sprintf("vcmalloc.%d", p.p.PID)))
}

// class of the snapshot that holds objects of size; a zero one if it has none yet.
func class(s *telemetry.Snapshot, size uint64) telemetry.Class {
	for _, c := range s.Classes {
		if c.Size >= size {
			return c
		}
	}
	return telemetry.Class{}
}

// slowest returns the n largest times: where n of many mallocs missed a cache, those are they.
func slowest(times []float64, n int) []float64 {
	t := slices.Sorted(slices.Values(times))
	return t[max(0, len(t)-n):]
}
