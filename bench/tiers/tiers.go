package tiers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
	"github.com/vcmalloc/vcmalloc/telemetry"
)

var (
	latency  = runner.Metric{Name: "latency", Unit: "ns", Direction: stat.Lower, Main: true}
	multiple = runner.Metric{Name: "multiple of an empty malloc", Unit: "x", Direction: stat.Neutral}
)

// A tier's step: forces it, times it, and proves by the counters that it was hit. With ours false it does what
// makes sense for any allocator, or returns errOurs.
type tier struct {
	name, forced string
	run          func(p *puppet) (nanos float64, proof string, err error)
}

// errOurs: the step means nothing for another allocator.
var errOurs = errors.New("only for vcmalloc")

const (
	small = 64        // bytes; batches of 32 objects, spans of one page
	large = 264 << 10 // bytes; beyond the largest size class
	huge  = 2 << 20
	mass  = 20000 // small objects: more than the per-CPU and the transfer cache hold
)

var all = []tier{
	{"vCPU cache", "groups of 16 mallocs of 64 B whose objects have just been freed", vcpuCache},
	{"transfer cache", "every second of 20,000 objects of 64 B freed, then as many allocated as the vCPU and the transfer cache hold; the mallocs that missed", transferCache},
	{"central free list", "the same, going on once the transfer cache is empty and while spans have free objects", centralFreeList},
	{"page heap", "264 KiB, no size class, allocated and freed in turn", pageHeap},
	{"system", "2 MiB blocks that are kept, so that each is new address space and memory; not touched", system},
	{"system, touched", "the same, with every byte written", systemTouched},
}

// Suite of all tiers. Ours must be among the subjects.
func Suite(ctx context.Context, l *lab.Lab) ([]runner.Suite, error) {
	binary, err := l.CC.Program(ctx, "tiers.c")
	if err != nil {
		return nil, err
	}
	shim, err := l.CC.Shared(ctx, "shim_empty.c")
	if err != nil {
		return nil, err
	}
	empty := subject.Subject{Name: "empty", Preload: shim}
	var mu sync.Mutex
	proofs := map[string]string{}
	s := runner.Suite{
		Name: "tiers", Title: "Latency by tier",
		About: "What one malloc costs that is served by each tier (the paper's Fig. 5.4); how each was forced, and the counters that prove it, " +
			"are in the table. Peers do the same requests where these mean the same to any allocator.",
		Baseline: l.Baseline, Subjects: l.Subjects,
		Plan: &runner.Plan{Rounds: lab.Pick(l.Size, 9, 3, 3), MinRounds: 3, Warmup: 0, Budget: 3 * time.Minute},
	}
	for i, t := range all {
		var floor float64 // of the round, which its baseline begins
		metrics := []runner.Metric{latency}
		if i == 0 {
			metrics = append(metrics, multiple)
		}
		s.Cases = append(s.Cases, runner.Case{
			Name: t.name, About: t.forced, Metrics: metrics, Cost: 600 * time.Millisecond,
			Run: func(ctx context.Context, sub subject.Subject) (runner.Sample, error) {
				if i == 0 && (sub.Name == l.Baseline || floor == 0) {
					p, err := newPuppet(ctx, l, binary, empty, false)
					if err != nil {
						return runner.Sample{}, err
					}
					floor, _, err = t.run(p)
					p.close()
					if err != nil {
						return runner.Sample{}, fmt.Errorf("the empty malloc: %w", err)
					}
				}
				ours := sub.Preload == l.Ours.Preload
				p, err := newPuppet(ctx, l, binary, sub, ours)
				if err != nil {
					return runner.Sample{}, err
				}
				defer p.close()
				ns, proof, err := t.run(p)
				if errors.Is(err, errOurs) {
					return runner.Sample{}, nil
				}
				if err == nil && ours {
					mu.Lock()
					proofs[t.name] = proof
					mu.Unlock()
				}
				f := map[string]float64{latency.Name: ns}
				if floor > 0 {
					f[multiple.Name] = ns / floor
				}
				return runner.Sample{Figures: f}, err
			},
		})
	}
	s.Finish = func(out *report.Suite) {
		x := report.Table{Title: "vcmalloc's tiers, as in the paper's Fig. 5.4", Header: []string{"tier", "ns", "forced by", "proved by"}}
		for _, t := range all {
			c := out.Case(t.name)
			if c == nil { // --only left it out
				continue
			}
			if v, ok := c.Metric(latency.Name).Spread[l.Ours.Name]; ok {
				x.Rows = append(x.Rows, []string{t.name, fmt.Sprintf("%.1f [%.1f-%.1f]", v.Median, v.Low, v.High), t.forced, proofs[t.name]})
			}
		}
		out.Extra = append(out.Extra, x)
	}
	return []runner.Suite{s}, nil
}

// between runs step with the counters read before and after; nil ones for peers.
func between(p *puppet, step func(before *telemetry.Snapshot) error) (before, after *telemetry.Snapshot, err error) {
	if !p.ours {
		return nil, nil, step(nil)
	}
	if before, err = p.counters(); err != nil {
		return nil, nil, err
	}
	if err = step(before); err != nil {
		return nil, nil, err
	}
	after, err = p.counters()
	return before, after, err
}

func vcpuCache(p *puppet) (float64, string, error) {
	const group, groups = 16, 20000
	var times []float64
	if _, err := p.do("g %d %d 100", small, group); err != nil {
		return 0, "", err
	}
	a, b, err := between(p, func(*telemetry.Snapshot) (err error) {
		times, err = p.do("g %d %d %d", small, group, groups)
		return err
	})
	if err != nil || !p.ours {
		return stat.Median(times), "", err
	}
	missed := b.Totals.Underflows - a.Totals.Underflows
	if missed > groups/100 {
		return 0, "", fmt.Errorf("%d underflows in %d mallocs: the cache was not hit", missed, group*groups)
	}
	return stat.Median(times), fmt.Sprintf("%d underflows in %d mallocs", missed, group*groups), nil
}

// drained frees a mass of small objects and returns the class as it is then: the vCPU cache is full, the transfer
// cache is full, and the rest lies free in spans.
func drained(p *puppet) error {
	if !p.ours {
		return errOurs
	}
	if _, err := p.do("a %d %d", small, mass); err != nil {
		return err
	}
	// Every second one stays, so that no span becomes empty and goes.
	_, err := p.do("h %d", mass)
	return err
}

func transferCache(p *puppet) (float64, string, error) {
	if err := drained(p); err != nil {
		return 0, "", err
	}
	var times []float64
	a, b, err := between(p, func(s *telemetry.Snapshot) (err error) {
		c := class(s, small)
		if c.Transfer < 64 {
			return fmt.Errorf("the transfer cache holds %d objects only", c.Transfer)
		}
		times, err = p.do("t %d %d", small, c.PerCPU+c.Transfer-32)
		return err
	})
	if err != nil {
		return 0, "", err
	}
	ca, cb := class(a, small), class(b, small)
	missed := int(b.Totals.Underflows - a.Totals.Underflows)
	hits, central := cb.TransferHits-ca.TransferHits, cb.TransferMisses-ca.TransferMisses
	if missed == 0 || hits == 0 || central > hits/20 {
		return 0, "", fmt.Errorf("%d underflows, %d objects from the transfer cache, %d from below: not the transfer cache", missed, hits, central)
	}
	return stat.Median(slowest(times, missed)), fmt.Sprintf("%d underflows took %d objects from the transfer cache, %d from the central free list, %d spans",
		missed, hits, central, cb.Fetched-ca.Fetched), nil
}

func centralFreeList(p *puppet) (float64, string, error) {
	if err := drained(p); err != nil {
		return 0, "", err
	}
	c, err := p.counters()
	if err != nil {
		return 0, "", err
	}
	// Empty what is above; then the spans' turn.
	k := class(c, small)
	if _, err := p.do("a %d %d", small, k.PerCPU+k.Transfer); err != nil {
		return 0, "", err
	}
	var times []float64
	a, b, err := between(p, func(s *telemetry.Snapshot) (err error) {
		k := class(s, small)
		if k.Free < 256 {
			return fmt.Errorf("spans have %d free objects only", k.Free)
		}
		times, err = p.do("t %d %d", small, k.PerCPU+min(k.Free, 4096)-64)
		return err
	})
	if err != nil {
		return 0, "", err
	}
	ca, cb := class(a, small), class(b, small)
	missed := int(b.Totals.Underflows - a.Totals.Underflows)
	hits, central, spans := cb.TransferHits-ca.TransferHits, cb.TransferMisses-ca.TransferMisses, cb.Fetched-ca.Fetched
	if missed == 0 || central == 0 || hits > central/10 || spans > uint64(missed)/10 {
		return 0, "", fmt.Errorf("%d underflows, %d objects from the transfer cache, %d from spans, %d new spans: not the central free list", missed, hits, central, spans)
	}
	return stat.Median(slowest(times, missed)), fmt.Sprintf("%d underflows took %d objects from spans, %d from the transfer cache; %d new spans",
		missed, central, hits, spans), nil
}

func pageHeap(p *puppet) (float64, string, error) {
	const n = 2000
	if _, err := p.do("p %d 50", large); err != nil {
		return 0, "", err
	}
	var times []float64
	a, b, err := between(p, func(*telemetry.Snapshot) (err error) {
		times, err = p.do("p %d %d", large, n)
		return err
	})
	if err != nil || !p.ours {
		return stat.Median(times), "", err
	}
	spans, grown := b.Totals.SpansAllocated-a.Totals.SpansAllocated, b.Totals.HugepagesGrown-a.Totals.HugepagesGrown
	if spans < n || grown > 0 {
		return 0, "", fmt.Errorf("%d spans and %d new hugepages for %d mallocs: not the page heap alone", spans, grown, n)
	}
	return stat.Median(times), fmt.Sprintf("%d spans allocated by %d mallocs, %d hugepages grown", spans, n, grown), nil
}

func system(p *puppet) (float64, string, error)        { return fresh(p, "t") }
func systemTouched(p *puppet) (float64, string, error) { return fresh(p, "w") }

func fresh(p *puppet, command string) (float64, string, error) {
	const n = 64
	var times []float64
	a, b, err := between(p, func(*telemetry.Snapshot) (err error) {
		times, err = p.do("%s %d %d", command, huge, n)
		return err
	})
	// The mean: growth may come in steps, and then most mallocs are cheap and one pays for them.
	mean := 0.0
	for _, t := range times {
		mean += t / float64(len(times))
	}
	if err != nil || !p.ours {
		return mean, "", err
	}
	grown := b.Totals.HugepagesGrown - a.Totals.HugepagesGrown
	if math.Abs(float64(grown)-n) > n/4 {
		return 0, "", fmt.Errorf("%d hugepages grown by %d mallocs of one", grown, n)
	}
	return mean, fmt.Sprintf("%d hugepages grown by %d mallocs of 2 MiB", grown, n), nil
}
