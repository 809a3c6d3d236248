package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"text/tabwriter"
	"time"
)

var (
	sizes      = []int{16, 64, 256, 1 << 10, 4 << 10, 32 << 10, 256 << 10, 1 << 20}
	goroutines = []int{1, 2, 8}
)

// roundTime is about how long one peer runs in a round.
const roundTime = 10 * time.Millisecond

// pairs measures the peers at all sizes and numbers of goroutines that are wanted, in turns, and prints medians.
func pairs(rec *recorder, rounds int, all []peer, wanted func(string) bool) {
	for _, kind := range []string{"pair", "hold"} {
		fmt.Printf("\n%s: %s; ns per object, median of %d rounds in turns ± half the middle half\n\n", kind,
			map[string]string{"pair": "allocate, write a byte, free", "hold": "allocate 64 objects and write a byte of each, then free them"}[kind], rounds)
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(w, "size\tgoroutines\t")
		for _, p := range all {
			fmt.Fprintf(w, "%s\t", p.name)
		}
		fmt.Fprintln(w)
		for _, size := range sizes {
			for _, g := range goroutines {
				if !wanted(fmt.Sprintf("%s/%d/%d", kind, size, g)) {
					continue
				}
				fmt.Fprintf(w, "%s\t%d\t", bytesText(size), g)
				for _, s := range measure(rec, all, kind, size, g, rounds) {
					fmt.Fprintf(w, "%s\t", s)
				}
				fmt.Fprintln(w)
			}
		}
		w.Flush()
	}
	fmt.Println()
	for _, p := range all {
		if p.note != "" {
			fmt.Printf("%s: %s\n", p.name, p.note)
		}
	}
	runtime.GC()
}

// measure is the summary of each peer in one case.
func measure(rec *recorder, all []peer, kind string, size, g, rounds int) []summary {
	counts := make([]int, len(all))
	samples := make([][]float64, len(all))
	loop := func(p *peer) func(size, n int) {
		if kind == "hold" {
			return p.hold
		}
		return p.pair
	}
	for i := range all { // how many fill a round; warms up as well
		n := held
		for run(loop(&all[i]), size, n, g); ; {
			took := run(loop(&all[i]), size, n, g)
			if took > roundTime/4 {
				counts[i] = max(held, int(float64(n)*float64(roundTime)/float64(took))/held*held)
				break
			}
			n *= 2
		}
	}
	for r := range rounds {
		for k := range all {
			i := (k + r) % len(all)
			took := run(loop(&all[i]), size, counts[i], g)
			ns := float64(took.Nanoseconds()) / float64(counts[i]*g)
			samples[i] = append(samples[i], ns)
			rec.add(fmt.Sprintf("%s/size=%d/goroutines=%d/peer=%s", kind, size, g, all[i].name), counts[i]*g, ns, "ns/op")
		}
	}
	out := make([]summary, len(all))
	for i := range samples {
		out[i] = summarise(samples[i])
	}
	return out
}

// run lets g goroutines do n operations each.
func run(f func(size, n int), size, n, g int) time.Duration {
	if g == 1 {
		t := time.Now()
		f(size, n)
		return time.Since(t)
	}
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range g {
		wg.Go(func() {
			<-begin
			f(size, n)
		})
	}
	t := time.Now()
	close(begin)
	wg.Wait()
	return time.Since(t)
}
