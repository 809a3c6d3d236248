package nucasim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/fleet"
	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
	"github.com/vcmalloc/vcmalloc/internal/config"
)

const (
	legacyName = "without"
	nucaName   = "nuca"
)

var metrics = []runner.Metric{
	{Name: "freed in another domain", Unit: "% of reused", Direction: stat.Lower, Main: true},
	{Name: "first access", Unit: "x local hit", Direction: stat.Lower, Main: true},
	{Name: "heap", Unit: "MiB", Direction: stat.Lower, Main: true},
	{Name: "found in own CPU's cache", Unit: "%", Direction: stat.Higher},
	{Name: "found in own domain's", Unit: "%", Direction: stat.Higher},
	{Name: "found in another domain's", Unit: "%", Direction: stat.Lower},
	{Name: "found in none", Unit: "%", Direction: stat.Lower},
	{Name: "cached in tiers", Unit: "MiB", Direction: stat.Lower},
	{Name: "crossings told by the statistics", Unit: "% of true ones", Direction: stat.Neutral},
	{Name: "unavoidable crossings", Unit: "% of reused", Direction: stat.Neutral},
	{Name: "avoidable crossings", Unit: "% of reused", Direction: stat.Lower},
	{Name: "had to cross below per-CPU caches", Unit: "% of reused there", Direction: stat.Neutral},
	{Name: "crossed there without need", Unit: "% of reused there", Direction: stat.Lower, Main: true},
}

// Suite of the placements.
func Suite(_ context.Context, l *lab.Lab) ([]runner.Suite, error) {
	s := runner.Suite{
		Name: "nuca-sim", Title: "A simulated machine of 16 domains and 256 CPUs",
		About: "The heap's own tiers under 32 services of 8 threads, events played in order by one thread that says on which CPU each happens. " +
			"With and without transfer caches for each domain; all other designs are on.",
		Notes: []string{
			fmt.Sprintf("Assumed costs of the first access to an allocated object, in hits of the domain's last-level cache: %.1f if its own CPU freed it, "+
				"%.0f if another of the domain, %.2f if one of another domain (Fig. 5.11), %.0f if it is new or %d MiB were allocated in the "+
				"domain since. Nothing else is modelled: not how much of a program's time such accesses are.", ownCost, nearCost, farCost, coldCost, cacheBytes>>20),
			"Unavoidable: what an allocator would cross too that keeps for each domain, without limit, whatever its CPUs free, in the memory of the caller's node.",
			"What passes below the per-CPU caches is what transfer caches can keep apart. There the library's own statistics tell how much had to cross, at least: " +
				"by how much domains were ahead of their own frees with what they were handed of a class.",
			"The first half of each run fills per-CPU caches and is not counted.",
			"packed: the threads of a service run in one domain. drifting: and each millisecond one in twenty moves, a tenth of them to any CPU. " +
				"spread: each thread runs on any CPU. vCPUs are the CPUs. Ticks of the background work are 10 ms.",
		},
		Baseline: legacyName, Subjects: []subject.Subject{{Name: legacyName, About: "features -nuca"}, {Name: nucaName, About: "features +nuca"}},
	}
	traces, names, err := load(l)
	if err != nil {
		return nil, err
	}
	for i := range traces {
		for _, place := range []string{packed, drifting, spread} {
			s.Cases = append(s.Cases, simulated(names[i]+", "+place, place, traces[i]))
		}
	}
	s.Finish = func(r *report.Suite) { r.Extra = append(r.Extra, table(r)) }
	return []runner.Suite{s}, nil
}

// load is for each case-to-be a function that makes the services' traces for a seed.
func load(l *lab.Lab) (out []func(seed uint64) ([]*fleet.Trace, error), names []string, err error) {
	if len(l.Traces) == 0 {
		n := lab.Pick(l.Size, 100000, 30000, 500)
		for _, make := range []func(int, uint64) *fleet.Trace{fleet.Synthesise, handOff} {
			out = append(out, func(seed uint64) ([]*fleet.Trace, error) {
				var all []*fleet.Trace
				for i := range services {
					all = append(all, make(n, seed*services+uint64(i)))
				}
				return all, nil
			})
		}
		return out, []string{"synthetic fleet", "hand-off"}, nil
	}
	for _, path := range l.Traces {
		if _, err := os.Stat(path); err != nil {
			return nil, nil, err
		}
		names = append(names, filepath.Base(path))
		out = append(out, func(uint64) ([]*fleet.Trace, error) {
			t, err := fleet.Load(path)
			if err != nil {
				return nil, err
			}
			var all []*fleet.Trace
			for range services {
				all = append(all, t)
			}
			return all, nil
		})
	}
	return out, names, nil
}

func simulated(name, place string, load func(uint64) ([]*fleet.Trace, error)) runner.Case {
	rounds := map[string]uint64{}
	return runner.Case{
		Name: name, Metrics: metrics, Cost: time.Second, Rounds: 3, NoWarmup: true,
		Run: func(_ context.Context, sub subject.Subject) (runner.Sample, error) {
			rounds[sub.Name]++
			seed := rounds[sub.Name] // both play the same
			traces, err := load(seed)
			if err != nil {
				return runner.Sample{}, err
			}
			legacy := config.Features(0)
			if sub.Name == legacyName {
				legacy = config.NUCA
			}
			o, err := simulate(traces, place, legacy, seed)
			if err != nil {
				return runner.Sample{}, err
			}
			return runner.Sample{Figures: o.figures()}, nil
		},
	}
}

func (o *outcome) figures() map[string]float64 {
	const mib = 1 << 20
	all := float64(o.own + o.near + o.far + o.cold)
	f := map[string]float64{
		metrics[0].Name: 100 * float64(o.crossed) / float64(max(o.reused, 1)),
		metrics[1].Name: o.cost(),
		metrics[2].Name: o.heapBytes / float64(max(o.ticks, 1)) / mib,
		metrics[3].Name: 100 * float64(o.own) / all,
		metrics[4].Name: 100 * float64(o.near) / all,
		metrics[5].Name: 100 * float64(o.far) / all,
		metrics[6].Name: 100 * float64(o.cold) / all,
		metrics[7].Name: o.cached / float64(max(o.ticks, 1)) / mib,
	}
	f[metrics[9].Name] = 100 * float64(o.unavoidable) / float64(max(o.reused, 1))
	f[metrics[10].Name] = 100 * float64(o.crossed-min(o.crossed, o.unavoidable)) / float64(max(o.reused, 1))
	below := 100 / float64(max(o.toldReused, 1))
	f[metrics[11].Name] = below * float64(o.toldForced)
	f[metrics[12].Name] = below * float64(o.told-min(o.told, o.toldForced))
	if o.crossed > 0 {
		f[metrics[8].Name] = 100 * float64(o.told) / float64(o.crossed)
	}
	return f
}

// table of medians, before and after.
func table(s *report.Suite) report.Table {
	t := report.Table{Title: "Simulated gain", About: "Medians without -> with transfer caches for each domain.", Header: []string{"load"}}
	for _, m := range metrics {
		t.Header = append(t.Header, m.Name+", "+m.Unit)
	}
	for _, c := range s.Cases {
		row := []string{c.Name}
		for _, m := range metrics {
			k := c.Metric(m.Name)
			row = append(row, fmt.Sprintf("%.3g -> %.3g", k.Spread[legacyName].Median, k.Spread[nucaName].Median))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
