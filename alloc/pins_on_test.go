//go:build vcmlocks && !race

package alloc

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// unpinned are calls that take locks of the core.
var unpinned = map[string]func(units.VCPU){
	"large":      func(units.VCPU) { core.Large(1<<20, 1) },
	"small":      func(v units.VCPU) { core.AllocClassOn(v, 5) },
	"hinted":     func(units.VCPU) { core.Hinted(100, 16, pageheap.HintLong) },
	"limit":      func(units.VCPU) { core.SoftLimit() },
	"trim":       func(units.VCPU) { core.TrimStep(true) },
	"statistics": func(units.VCPU) { var s heap.Stats; core.Stats(&s) },
}

// A call that takes a lock without a pin ends the process with one line, and the same call with one passes. The other
// tests of this package, in such a build, show that it makes none without.
func TestLockBuildCatchesCallsWithoutAPin(t *testing.T) {
	if !strings.HasPrefix(runtime.Version(), "go1.26") {
		t.Skip("another version of Go: where pins are counted is not known")
	}
	require.NoError(t, start())
	if name := os.Getenv("VCMTEST_UNPINNED"); name != "" {
		unpinned[name](0)
		return
	}
	for name, call := range unpinned {
		t.Run(name, func(t *testing.T) {
			call(units.VCPU(procPin()))
			procUnpin()
			exe, err := os.Executable()
			require.NoError(t, err)
			cmd := exec.Command(exe, "-test.run=^TestLockBuildCatchesCallsWithoutAPin$")
			cmd.Env = append(os.Environ(), "VCMTEST_UNPINNED="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err)
			require.Regexp(t, `(?m)^vcmalloc: lock order: a goroutine that is not pinned takes a lock: [A-Za-z]+Lock 0x[0-9a-f]+$`,
				string(out))
			require.Contains(t, string(out), "SIGABRT")
		})
	}
}
