package transfer

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/faults"
	"github.com/vcmalloc/vcmalloc/internal/simcpu"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// The system refuses part of what a node needs, and later no more: the home heap serves that node, and the next one gets
// its own, of which some may have been mapped for the first.
func TestANodeIsMadeAfterAnotherWasRefused(t *testing.T) {
	for i, name := range []string{"the central lists", "the shared caches", "the page heap", "the page heap, not what all share"} {
		t.Run(name, func(t *testing.T) {
			k := newTier(t)
			divide(t, k, nodesOf(4))
			const c = 10
			removeOn(t, k, 0, c, 8)
			pages := &k.Central.Pages
			mark := func() uintptr { // no table made before lies at it or beyond
				var table vm.Table
				require.True(t, pages.NewEmptyTable(&table, 1))
				return table.Base()
			}
			lists := mark()
			require.True(t, k.Central.OpenHinted(centralfreelist.PoolOf(0, 1))) // so that the table of lists is there
			heaps := mark()
			var at pageheap.Addresses
			pages.Addresses(&at)
			begin := []uintptr{lists, k.nodes.table.Base(), heaps, heaps}[i]
			// Tables are aligned to 2 MiB: first mark's, then that of the heaps, then that of who owns a hugepage.
			end := []uintptr{heaps, begin + (pageheap.MaxNodes-1)*k.nodes.stride, at.Base, heaps + 4<<20}[i]
			installed := false
			faults.OnDoomedThread(func() {
				if err := faults.Of(unix.SYS_MMAP, unix.ENOMEM).In(begin, end-begin).Install(); err != nil {
					t.Logf("no system call filter: %v", err)
					return
				}
				installed = true
				for _, cpu := range []int32{2, 4} { // both try with the same part mapped
					for _, p := range removeOn(t, k, cpu, c, 8) {
						require.Zero(t, pages.NodeAt(p))
					}
				}
			})
			if !installed {
				t.Skip()
			}
			require.EqualValues(t, 1, k.Nodes())
			require.EqualValues(t, 1, pages.Nodes())
			objects := removeOn(t, k, 6, c, 8)
			require.EqualValues(t, 2, k.Nodes())
			require.EqualValues(t, 2, pages.Nodes())
			for _, p := range objects {
				require.EqualValues(t, 1, pages.NodeAt(p))
			}
			insertOn(t, k, 0, c, objects)
			checkNodes(t, k)
			var st NodeStats
			k.NodeStats(1, &st)
			require.EqualValues(t, 103, st.Kernel)
			for _, p := range removeOn(t, k, 3, c, 8) {
				require.Zero(t, pages.NodeAt(p), "who was refused stays with the home heap")
			}
		})
	}
}

// The system refuses the memory of shards, of nodes' caches, or any at all, before the first use or later. Domains
// and nodes are served by the shared caches then, objects are conserved, and what is freed serves again.
func TestRefusalsOfTheSystemAreSurvived(t *testing.T) {
	all := func(*Tier) (uintptr, uintptr) { return faults.First, faults.End - faults.First }
	for _, x := range []struct {
		name   string
		text   string // topology
		where  func(k *Tier) (a, n uintptr)
		warmUp int // steps before it begins
		shards int // that must be open in the end, at most
		nodes  uint32
	}{
		{"every shard", four, func(k *Tier) (uintptr, uintptr) { return k.domains.table.Base(), MaxDomains * k.domains.stride }, 0, 0, 1},
		{"one shard", four, func(k *Tier) (uintptr, uintptr) {
			return k.domains.table.Base() + 2*k.domains.stride, k.domains.stride
		}, 0, 4, 1},
		{"caches of nodes", nodesOf(4), func(k *Tier) (uintptr, uintptr) {
			return k.nodes.table.Base(), (pageheap.MaxNodes - 1) * k.nodes.stride
		}, 0, 8, 1},
		{"everything, from the start", four, all, 0, 0, 1},
		{"everything, later", four, all, 2000, 8, 1},
		{"everything, later, with nodes", nodesOf(4), all, 2000, 8, 4},
	} {
		t.Run(x.name, func(t *testing.T) {
			faults.OnDoomedThread(func() {
				k := newTier(t)
				divide(t, k, x.text)
				m := newChurn(t, k, coretest.Rand(t))
				m.mayFail = true
				step := func(i int) {
					simcpu.Set(int32(m.r.IntN(8)))
					m.step(m.class(), 60)
					if i%200 == 0 {
						check(t, k, held(&m.out))
						checkNodes(t, k)
					}
				}
				for i := range x.warmUp {
					step(i)
				}
				if x.warmUp == 0 { // memory for objects there is, in any case
					insert(t, k, 25, fetch(t, k, 25, 64))
				}
				require.Zero(t, m.failed)
				a, n := x.where(k)
				if err := faults.Of(unix.SYS_MMAP, unix.ENOMEM).In(a, n).Install(); err != nil {
					t.Skipf("no system call filter: %v", err)
				}
				for i := range coretest.Long(4000) {
					step(i)
				}
				for i := 0; n == faults.End-faults.First && m.failed == 0 && i < 1<<16; i++ {
					m.remove(churnClasses[len(churnClasses)-1]) // until what is mapped is used up
				}
				check(t, k, held(&m.out))
				t.Logf("%d requests failed, %d shards, %d nodes", m.failed, opened(k), k.Nodes())
				require.LessOrEqual(t, opened(k), x.shards)
				require.LessOrEqual(t, k.Nodes(), x.nodes)
				if n < faults.End-faults.First {
					require.Zero(t, m.failed, "only caches were refused")
				} else {
					require.Positive(t, m.failed)
					require.Empty(t, k.Central.Pages.Check())
				}
				giveAllBack(t, k, &m.out)
				m = newChurn(t, k, m.r)
				for range 10 {
					for _, c := range []units.ClassID{1, 25, 60} {
						m.remove(c)
					}
				}
				giveAllBack(t, k, &m.out)
			})
		})
	}
}
