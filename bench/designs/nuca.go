package designs

import (
	"fmt"
	"runtime"

	"github.com/vcmalloc/vcmalloc/bench/lab"
)

// nuca is measured on a machine that is said to have two domains: with one, the design's layer is not there.
var nuca = Design{
	Name: "nuca", Features: "-all,+nuca", Title: "Table 5.1: NUCA-aware transfer caches",
	Env: func(*lab.Lab) []string { return []string{"VCMALLOC_TOPOLOGY=" + halves(runtime.NumCPU())} },
}

// halves splits n CPUs into two domains, in the notation of VCMALLOC_TOPOLOGY.
func halves(n int) string {
	if n < 2 {
		return "0"
	}
	list := func(from, to int) string {
		if from == to {
			return fmt.Sprint(from)
		}
		return fmt.Sprintf("%d-%d", from, to)
	}
	return list(0, n/2-1) + ";" + list(n/2, n-1)
}
