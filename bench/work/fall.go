package work

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// loadFalls asks who gives memory back, how soon, and what that costs.
func loadFalls(l *lab.Lab) runner.Case {
	work := lab.Pick(l.Size, 5*time.Second, 500*time.Millisecond, 50*time.Millisecond)
	return fallsFor(l, "load falls", work, lab.Pick(l.Size, []string{"1", "10", "30", "60"}, []string{"1", "2", "4"}, []string{"0.1", "0.3"}))
}

// loadStaysLow is the same for a quick run that has the time, once: the memory of a minute later differs little from run
// to run.
func loadStaysLow(l *lab.Lab) runner.Case {
	work, after := 2*time.Second, []string{"1", "10", "30", "60"}
	if l.Size == lab.Tiny {
		work, after = 50*time.Millisecond, []string{"0.1"}
	}
	c := fallsFor(l, "load falls, a minute", work, after)
	c.Rounds, c.Optional = 1, true
	return c
}

func fallsFor(l *lab.Lab, name string, work time.Duration, after []string) runner.Case {
	size := lab.Pick(l.Size, "256", "64", "4")
	last, _ := strconv.ParseFloat(after[len(after)-1], 64)
	c := generator{
		name: name, unit: "op/s", file: "fall.cc", waste: true,
		about: "A service that holds " + size + " MiB in objects of 16 B to 32 KiB, replaced at full speed by 4 threads; then nine tenths are freed " +
			"and the work goes on in 1 of 10 ms. Anonymous memory so many seconds later, the processor time of an operation meanwhile, and " +
			"how long it takes to hold as much as before.",
		args: []string{size, "4", lab.Millis(work), strings.Join(after, ",")},
		cost: work + time.Duration((last+0.5)*float64(time.Second)),
	}.build(l)
	c.Together = nil               // its time is the clock's
	c.Rounds, c.NoWarmup = 3, true // it waits most of the time
	const full, low, back = "anonymous at full load", "operation while load is low", "time for load to return"
	c.Metrics = append(c.Metrics, runner.Metric{Name: full, Unit: "MiB", Direction: stat.Lower})
	for i, s := range after {
		c.Metrics = append(c.Metrics, runner.Metric{Name: anonymousAfter(s), Unit: "MiB", Direction: stat.Lower, Main: i == len(after)-1})
	}
	c.Metrics = append(c.Metrics, runner.Metric{Name: low, Unit: "ns of processor time", Direction: stat.Lower},
		runner.Metric{Name: back, Unit: "ms", Direction: stat.Lower})
	run := c.Run
	c.Run = func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
		sample, err := run(ctx, s)
		if f := sample.Figures; err == nil {
			const mib = 1 << 20
			f[full], f[low], f[back] = f["full"]/mib, f["low ns"], f["return ms"]
			for i, s := range after {
				f[anonymousAfter(s)] = f[fmt.Sprintf("resident %d", i)] / mib
			}
		}
		return sample, err
	}
	return c
}

// Sessions is that service at full speed, its load steady or swinging between three tenths and all in so many operations.
func Sessions(l *lab.Lab, name string, operations, swing int) runner.Case {
	size := lab.Pick(l.Size, "256", "64", "4")
	about := fmt.Sprintf("The sessions of `load falls`, %s MiB, replaced at full speed by 4 threads, %d of them", size, operations)
	if swing > 0 {
		about += fmt.Sprintf("; what they hold falls to three tenths and rises again while %d are", swing)
	}
	return generator{
		name: name, about: about + ".", unit: "op/s", file: "fall.cc",
		args: []string{size, "4", fmt.Sprint(operations, "ops"), "0.05", "1", fmt.Sprint(swing)},
		cost: time.Duration(operations)*11*time.Microsecond + 500*time.Millisecond,
	}.build(l)
}

func anonymousAfter(seconds string) string { return "anonymous after " + seconds + " s" }
