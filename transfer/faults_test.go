package transfer

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/internal/faults"
	"github.com/vcmalloc/vcmalloc/internal/simcpu"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

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
				m := newChurn(t, k, newRand(t))
				m.mayFail = true
				step := func(i int) {
					c := m.class()
					simcpu.Set(int32(m.r.IntN(8)))
					switch op := m.r.IntN(100); {
					case op < 60 && m.mayRemove(c):
						m.remove(c)
					case op < 94:
						m.insert(c)
					case op < 97:
						k.Plunder()
					case op < 99:
						k.Rebalance()
					default:
						k.Drain()
					}
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
				for i := range long(4000) {
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
