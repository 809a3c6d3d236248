package percpu

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/simcpu"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
	"github.com/vcmalloc/vcmalloc/topology"
	"github.com/vcmalloc/vcmalloc/transfer"
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

// A thread of the first domain takes from the vCPU of the second, in each of the ways of the background. The objects go
// to the shard of the second; those of the first domain's node, if it has one of its own, to that node's shared caches.
func TestWhatIsTakenFromAVCPUGoesToItsDomain(t *testing.T) {
	const c, other = 5, 7
	ways := map[string]func(k *Cache){
		"Drain": func(k *Cache) { require.True(t, k.Drain(1)) },
		"an idle vCPU": func(k *Cache) {
			for range idleLooks + 1 {
				k.DrainIdle()
			}
		},
		"an idle class": func(k *Cache) {
			p := uintptr(0)
			for range idleLooks + 1 {
				simcpu.Set(1) // its class other is in use
				if p == 0 {
					p = k.Alloc(other)
				} else {
					require.Zero(t, k.Free(other, p))
					p = 0
				}
				simcpu.Set(0)
				k.DrainIdle()
			}
			require.NotZero(t, k.info(1).slab)
		},
		"a move of budget": func(k *Cache) { k.carry(&move{1, 0, k.info(1).capacity}) },
	}
	for _, text := range []string{"0;1", "0@0;1@77"} {
		for name, take := range ways {
			t.Run(text+" "+name, func(t *testing.T) {
				k := new(Cache)
				require.True(t, k.Transfer.Central.Pages.Init(pageheap.Options{Seed: rand.Uint64()}))
				t.Cleanup(k.Transfer.Central.Pages.Unmap)
				require.True(t, k.Init(Options{VCPUs: 2, Sequences: Sequences{CPU: simcpu.Function()}}))
				_, fault := k.Transfer.Divide(simcpu.Text(text))
				require.Equal(t, topology.OK, fault)
				for range 5 { // both shards prove that they need room for 512 objects
					for cpu := range int32(2) {
						simcpu.Set(cpu)
						var all [8][centralfreelist.MaxBatch]uintptr
						var n [8]int
						for i := range all {
							n[i] = k.Transfer.Remove(c, all[i][:], len(all[i]))
						}
						for i := range all {
							require.Zero(t, k.Transfer.Insert(c, all[i][:n[i]]))
						}
					}
				}
				k.Transfer.Drain()
				for cpu := range int32(2) { // freed on CPU 1: objects of both nodes
					simcpu.Set(cpu)
					var held []uintptr
					for range 40 {
						held = append(held, k.Alloc(c))
					}
					simcpu.Set(1)
					for _, p := range held {
						require.Zero(t, k.Free(c, p))
					}
				}
				require.True(t, k.Drain(0)) // it goes idle too, in some of the ways
				node := max(k.Transfer.Node(), 1) - 1
				near, far := byNode(k, 1, c, node)
				require.Greater(t, near, 20)
				require.Equal(t, node != 0, far > 0)
				var mine, others [2]transfer.DomainStats
				var home [2]transfer.NodeStats
				look := func(i int) {
					k.Transfer.Domain(1, &mine[i])
					k.Transfer.Domain(0, &others[i])
					k.Transfer.NodeStats(0, &home[i])
				}
				look(0)
				simcpu.Set(0)
				take(k)
				look(1)
				require.Zero(t, k.info(1).length(c))
				require.EqualValues(t, near, mine[1].Used-mine[0].Used, "in the shard of the vCPU's domain")
				require.Equal(t, others[0].Used, others[1].Used, "nothing in that of the caller's")
				require.EqualValues(t, far, home[1].Home-home[0].Home, "other nodes' objects went home")
				simcpu.Set(1)
				var buf [centralfreelist.MaxBatch]uintptr
				for _, p := range buf[:k.Transfer.Remove(c, buf[:], min(near, len(buf)))] {
					require.Equal(t, node, k.Transfer.Central.Pages.NodeAt(p))
				}
			})
		}
	}
}

// length is how many objects of class c a vCPU holds.
func (in *info) length(c units.ClassID) uint32 {
	if in.slab == 0 {
		return 0
	}
	return slab(in.slab).length(c)
}

// byNode counts the objects of class c that vCPU v holds: those of a node, and the others.
func byNode(k *Cache, v units.VCPU, c units.ClassID, node uint32) (of, others int) {
	s := slab(k.info(v).slab)
	h := s.load(c)
	for i := h.index(); i > s.begin(c); i-- {
		if k.Transfer.Central.Pages.NodeAt(h.top()) == node {
			of++
		} else {
			others++
		}
		h = *s.word(i - 1)
	}
	return of, others
}
