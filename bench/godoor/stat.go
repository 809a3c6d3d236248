package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// summary of samples: the median and half the distance of the quartiles.
type summary struct{ median, spread float64 }

func (s summary) String() string {
	if s.median >= 100 {
		return fmt.Sprintf("%.0f ±%.0f", s.median, s.spread)
	}
	return fmt.Sprintf("%.1f ±%.1f", s.median, s.spread)
}

func summarise(v []float64) summary {
	v = slices.Sorted(slices.Values(v))
	at := func(q float64) float64 { return v[int(q*float64(len(v)-1)+0.5)] }
	return summary{at(0.5), (at(0.75) - at(0.25)) / 2}
}

func bytesText(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// recorder keeps all samples as lines of Go's benchmark format.
type recorder struct{ lines []string }

func (r *recorder) add(name string, n int, value float64, unit string) {
	name = strings.ReplaceAll(name, " ", "_")
	r.lines = append(r.lines, fmt.Sprintf("Benchmark%s%s-%d %d %g %s", strings.ToUpper(name[:1]), name[1:], runtime.GOMAXPROCS(0), n, value, unit))
}

func (r *recorder) write(path string) error {
	head := fmt.Sprintf("goos: %s\ngoarch: %s\npkg: github.com/vcmalloc/vcmalloc/bench/godoor\n", runtime.GOOS, runtime.GOARCH)
	return os.WriteFile(path, []byte(head+strings.Join(r.lines, "\n")+"\n"), 0o644)
}
