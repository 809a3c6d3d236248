// Command compare runs one command with and without the library preloaded, in turn (A B A B …) after a
// warm-up, and prints the medians of what the system accounts to it: time, peak resident memory, page
// faults. It checks that both print the same.
//
//	compare -lib build/libvcmalloc.so [-n 21] -- COMMAND [ARG…]
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"syscall"
	"text/tabwriter"
	"time"
)

// figures of one run.
type figures struct{ wall, user, sys, rssKiB, minor, switches float64 }

func main() {
	lib := flag.String("lib", "build/libvcmalloc.so", "the library to preload")
	n := flag.Int("n", 11, "runs of each")
	flag.Parse()
	if flag.NArg() == 0 || *n < 1 {
		fmt.Fprintln(os.Stderr, "compare: name a command after --, and at least one run")
		os.Exit(2)
	}
	if _, err := os.Stat(*lib); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err, "(build it with `make`)")
		os.Exit(2)
	}
	var without, with []figures
	for i := -1; i < *n; i++ {
		a, outA := run(flag.Args(), "")
		b, outB := run(flag.Args(), *lib)
		if !bytes.Equal(outA, outB) {
			fmt.Fprintln(os.Stderr, "compare: the two runs printed different things")
			os.Exit(1)
		}
		if i >= 0 { // the first pair warms caches up
			without, with = append(without, a), append(with, b)
		}
	}
	print(without, with)
}

func run(command []string, lib string) (figures, []byte) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = os.Environ()
	if lib != "" {
		cmd.Env = append(cmd.Env, "LD_PRELOAD="+lib)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = os.Stderr
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil {
		fmt.Fprintf(os.Stderr, "compare: %v (preloaded: %q): %v\n", command, lib, err)
		os.Exit(1)
	}
	u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return figures{
		wall: ms(wall), user: ms(cmd.ProcessState.UserTime()), sys: ms(cmd.ProcessState.SystemTime()),
		rssKiB: float64(u.Maxrss), minor: float64(u.Minflt), switches: float64(u.Nvcsw + u.Nivcsw),
	}, out.Bytes()
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func print(without, with []figures) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "medians of %d\tglibc\tvcmalloc\tratio\t\n", len(with))
	row := func(name, format string, f func(*figures) float64) {
		a, b := median(without, f), median(with, f)
		ratio := "-"
		if a > 0 {
			ratio = fmt.Sprintf("%.3f", b/a)
		}
		fmt.Fprintf(w, "%s\t"+format+"\t"+format+"\t%s\t\n", name, a, b, ratio)
	}
	row("wall ms", "%.2f", func(f *figures) float64 { return f.wall })
	row("user ms", "%.2f", func(f *figures) float64 { return f.user })
	row("system ms", "%.2f", func(f *figures) float64 { return f.sys })
	row("peak resident KiB", "%.0f", func(f *figures) float64 { return f.rssKiB })
	row("page faults", "%.0f", func(f *figures) float64 { return f.minor })
	row("context switches", "%.0f", func(f *figures) float64 { return f.switches })
	w.Flush()
}

func median(all []figures, f func(*figures) float64) float64 {
	v := make([]float64, len(all))
	for i := range all {
		v[i] = f(&all[i])
	}
	sort.Float64s(v)
	return v[len(v)/2]
}
