package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/bench/runner"
)

func TestOnlyChoosesCasesAndDesigns(t *testing.T) {
	suites := func(chosen ...string) []runner.Suite {
		return []runner.Suite{
			{Name: "micro", Cases: []runner.Case{{Name: "pair 64 B"}, {Name: "mixed, 2 threads"}}},
			{Name: "designs", Chosen: chosen, Cases: []runner.Case{{Name: "redis"}, {Name: "pipeline"}, {Name: "postgres", Optional: true}}},
		}
	}
	for _, c := range []struct {
		name string
		only []string
		want map[string][]string
	}{
		{"nothing: all but the optional", nil, map[string][]string{"micro": {"pair 64 B", "mixed, 2 threads"}, "designs": {"redis", "pipeline"}}},
		{"a case", []string{"pair"}, map[string][]string{"micro": {"pair 64 B"}}},
		{"a name with a comma", []string{"mixed, 2"}, map[string][]string{"micro": {"mixed, 2 threads"}}},
		{"a list", []string{"pair,mixed"}, map[string][]string{"micro": {"pair 64 B", "mixed, 2 threads"}}},
		{"an optional case without its design", []string{"postgres"}, map[string][]string{"designs": {"postgres"}}},
		{"a design", []string{"nuca"}, map[string][]string{"designs": {"redis", "pipeline"}}},
		{"a design's case", []string{"nuca", "redis"}, map[string][]string{"designs": {"redis"}}},
		{"an optional case", []string{"nuca,postgres"}, map[string][]string{"designs": {"postgres"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var chosen []string
			if len(c.only) > 0 && strings.HasPrefix(c.only[0], "nuca") {
				chosen = []string{"nuca"} // what the suite makes of it
			}
			got, err := choose(suites(chosen...), c.only)
			require.NoError(t, err)
			names := map[string][]string{}
			for _, s := range got {
				names[s.Name] = caseNames([]runner.Suite{s})
			}
			assert.Equal(t, c.want, names)
		})
	}
	_, err := choose(suites(), []string{"redix"})
	assert.ErrorContains(t, err, `"redix"`)
	assert.ErrorContains(t, err, "redis; pipeline")
}
