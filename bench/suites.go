package main

import (
	"context"

	"github.com/vcmalloc/vcmalloc/bench/designs"
	"github.com/vcmalloc/vcmalloc/bench/fleet"
	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/micro"
	"github.com/vcmalloc/vcmalloc/bench/nucasim"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/selfcheck"
	"github.com/vcmalloc/vcmalloc/bench/tiers"
	"github.com/vcmalloc/vcmalloc/bench/work"
)

type builder func(context.Context, *lab.Lab) ([]runner.Suite, error)

// suites in the order in which `all` runs them. A new one is added here.
var suites = []struct {
	name, short string
	build       builder
}{
	{"selfcheck", "Does bench see what is known to be there?", selfcheck.Suites},
	{"micro", "Single operations: ns per malloc and free", micro.Suite},
	{"tiers", "Latency of an allocation by the tier that serves it", tiers.Suite},
	{"fleet", "Allocation traces: synthetic by the paper's distributions, or recorded", fleet.Suite},
	{"work", "Workloads: redis, a pipeline, an image server, stores, a query engine, a compiler, postgres", work.Suite},
	{"nuca-sim", "NUCA-aware transfer caches on a simulated machine of 16 domains and 256 CPUs", nucasim.Suite},
	{"designs", "Each of the paper's designs, and all, against the legacy design", designs.Suites},
}
