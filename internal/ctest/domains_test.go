package ctest

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestDomains runs programs on two last-level cache domains, so that transfer caches have shards, which are
// visited, plundered and given up a hundred times as often as they would be.
func TestDomains(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	if runtime.NumCPU() < 2 {
		t.Skip("one CPU is one domain")
	}
	requireLibrary(t)
	env := []string{"VCMALLOC_TOPOLOGY=0;1", "VCMALLOC_TICK=10", "VCMALLOC_BACKGROUND_FROM=0"}
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
