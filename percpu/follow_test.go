package percpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/simcpu"
	"github.com/vcmalloc/vcmalloc/pageheap"
	"github.com/vcmalloc/vcmalloc/topology"
)

func TestWhatAVCPUHoldsWhenItMovesBetweenDomainsIsCarried(t *testing.T) {
	k := new(Cache)
	require.True(t, k.Transfer.Central.Pages.Init(pageheap.Options{Seed: 7}))
	t.Cleanup(k.Transfer.Central.Pages.Unmap)
	require.True(t, k.Init(Options{VCPUs: 1, Sequences: Sequences{CPU: simcpu.Function()}})) // one vCPU for all CPUs
	_, fault := k.Transfer.Divide(simcpu.Text("0;1"))
	require.Equal(t, topology.OK, fault)
	carried := func() uint64 {
		var st Stats
		k.Stats(0, &st)
		return st.Carried
	}
	simcpu.Set(0)
	var held []uintptr
	for range 200 {
		held = append(held, k.Alloc(5))
	}
	for _, p := range held[:50] {
		k.Free(5, p)
	}
	require.Zero(t, carried())
	holds := uint64(k.Objects(5))
	require.Positive(t, holds)
	simcpu.Set(1)
	k.Alloc(5) // served by the slab: nobody notices
	require.Zero(t, carried())
	k.Alloc(9) // a miss
	require.Equal(t, holds-1, carried())
	k.Alloc(10)
	require.Equal(t, holds-1, carried(), "it has stayed in its domain")
}
