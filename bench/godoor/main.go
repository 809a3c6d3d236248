// Command godoor measures the Go door against what Go programs use instead: pairs of allocation and free by size
// and number of goroutines, and a cache of many objects with what it costs the garbage collector. It is a module
// of its own, so that nothing else depends on the peers; `go run ./bench go` runs it.
//
// Peers are measured in turns, A B C, B C A, …, each round in the same process for pairs, in a process of its own
// for caches. The lines in Go's benchmark format (-o) are for benchstat.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	quick := flag.Bool("quick", false, "few rounds, a cache of a million objects")
	only := flag.String("only", "", "run only this: pair or cache")
	out := flag.String("o", "", "write the samples to this file in Go's benchmark format, for benchstat")
	objects := flag.Int("objects", 0, "objects in the cache (default 20 million, with -quick a million)")
	rounds := flag.Int("rounds", 0, "rounds of pairs (default 15, with -quick 7)")
	cases := flag.String("cases", "", "only pairs whose name matches this expression: pair/64/1 is kind, bytes, goroutines")
	who := flag.String("peers", "", "only these, with commas between: vcmalloc,sync.Pool")
	variant := flag.String("variant", "", "internal: be the process of one cache")
	flag.Parse()
	if *objects == 0 {
		*objects = pick(*quick, 1_000_000, 20_000_000)
	}
	if *rounds == 0 {
		*rounds = pick(*quick, 7, 15)
	}
	if *variant != "" {
		fail(runCache(*variant, *objects, *quick))
		return
	}
	samples := &recorder{}
	if *only != "cache" {
		choice, err := regexp.Compile("^(" + *cases + ")$")
		fail(err)
		chosen, err := choosePeers(peers(), *who)
		fail(err)
		pairs(samples, *rounds, chosen, func(name string) bool { return *cases == "" || choice.MatchString(name) })
	}
	if *only != "pair" {
		fail(caches(samples, *objects, *quick))
	}
	if *out != "" {
		fail(samples.write(*out))
	}
}

func pick(quick bool, a, b int) int {
	if quick {
		return a
	}
	return b
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "godoor:", err)
		os.Exit(1)
	}
}

// choosePeers is those of all whose names are in the list; all if it is empty.
func choosePeers(all []peer, list string) ([]peer, error) {
	if list == "" {
		return all, nil
	}
	var chosen []peer
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(p peer) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no peer %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
