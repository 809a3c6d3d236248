package ctest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestDomains runs programs on two last-level cache domains, so that transfer caches have shards, which are
// visited, plundered and given up a hundred times as often as they would be; and again with the domains on two NUMA
// nodes, so that threads that move between CPUs free into each other's page heaps, fork among them.
func TestDomains(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	requireLibrary(t)
	cpus := twoCPUs(t)
	for _, topology := range []string{"%d;%d", "%d@0;%d@77"} {
		t.Run(topology, func(t *testing.T) { runDivided(t, fmt.Sprintf(topology, cpus[0], cpus[1])) })
	}
}

func runDivided(t *testing.T, topology string) {
	env := []string{"VCMALLOC_TOPOLOGY=" + topology, "VCMALLOC_TICK=10", "VCMALLOC_BACKGROUND_FROM=0"}
	for _, p := range programs(t, "stress") {
		if !slices.Contains([]string{"fork_alloc.c", "migrate.c", "fuzz_diff.c"}, p.name) {
			continue
		}
		for _, args := range p.norseq {
			t.Run(p.name, func(t *testing.T) {
				exe := mustBuild(t, p)
				succeed(t, p, slices.Concat(p.env, env), append([]string{exe}, strings.Fields(args)...)...)
			})
		}
	}
}
