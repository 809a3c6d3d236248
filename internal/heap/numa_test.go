package heap

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/simcpu"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// newNodes is a heap on a machine of n nodes with one CPU each, which the test plays.
func newNodes(t testing.TB, n int, o Options) *Heap {
	t.Helper()
	text := ""
	for i := range n {
		text += fmt.Sprintf(";%d@%d", i, 100+i)
	}
	o.Config.Topology = simcpu.Text(text[1:])
	h := newHeap(t, o)
	h.Front.Transfer.CPU = simcpu.Function()
	return h
}

// Random requests of all sizes on 2 and 4 nodes, with everything else a heap does: contents, the accounting
// identity and each node's share hold, and what is freed returns to its owner.
func TestAHeapOfManyNodesKeepsItsBooks(t *testing.T) {
	for _, nodes := range []int{2, 4} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			r := coretest.Rand(t)
			h := newNodes(t, nodes, reporting())
			type object struct {
				p    uintptr
				size units.Bytes
				key  uint64
			}
			var live []object
			held := func() (n units.Bytes) {
				for i := range live {
					n += h.Usable(live[i].p)
				}
				return n
			}
			size := func() units.Bytes {
				if r.IntN(20) == 0 {
					return units.Bytes(r.IntN(5 << 20))
				}
				return units.Bytes(1 + r.IntN(1<<r.IntN(17)))
			}
			now := int64(1)
			for i := range coretest.Long(12000) {
				cpu := int32(r.IntN(1 + min(i/500, nodes-1)))
				simcpu.Set(cpu)
				switch op := r.IntN(100); {
				case op < 50 && len(live) < 1500:
					o := object{size: size(), key: r.Uint64()}
					o.p = h.Malloc(o.size)
					require.NotZero(t, o.p)
					if at := h.Front.Transfer.Node(); o.size > units.MaxSmall && at != 0 {
						require.Equal(t, at-1, h.pages().NodeAt(o.p), "a large object lies on another node")
					}
					fill(o.p, o.size, o.key)
					live = append(live, o)
				case op < 90 && len(live) > 0:
					k := r.IntN(len(live))
					o := live[k]
					require.Negative(t, intact(o.p, o.size, o.size, o.key))
					h.Free(o.p, CallFree)
					live[k] = live[len(live)-1]
					live = live[:len(live)-1]
				case op < 97 && len(live) > 0:
					k := r.IntN(len(live))
					o := &live[k]
					n := size()
					q := h.Realloc(o.p, n, CallRealloc)
					require.NotZero(t, q)
					require.Negative(t, intact(q, min(n, o.size), o.size, o.key))
					o.p, o.size = q, n
					fill(o.p, o.size, o.key)
				case op == 97:
					now += 1e9
					h.Background(now)
				case op == 98 && i%10 == 0:
					h.Trim()
				case op == 99 && i%10 == 0:
					h.ForkBegin(0)
					q := h.Malloc(100)
					require.NotZero(t, q)
					h.Free(q, CallFree)
					if len(live) > 0 {
						h.Free(live[0].p, CallFree)
						live = live[1:]
					}
					h.ForkParent()
				}
				if i%1000 == 0 {
					check(t, h, held())
					require.Empty(t, h.pages().Check())
				}
			}
			require.EqualValues(t, nodes, h.pages().Nodes())
			for i := range live {
				simcpu.Set(int32(i % nodes))
				h.Free(live[i].p, CallFree)
			}
			live = nil
			h.Trim()
			check(t, h, 0)
			require.Empty(t, h.pages().Check())
			sum := units.Bytes(0)
			for i := range h.pages().Nodes() {
				var st pageheap.Stats
				h.pages().Node(i).NodeStats(&st)
				require.Zero(t, st.Small+st.Large, "node %d", i)
				require.Positive(t, st.Released, "trim does not reach node %d", i)
				sum += st.Mapped
			}
			var st Stats
			h.Stats(&st)
			require.Equal(t, st.Mapped, sum)
		})
	}
}

// One node's requests use up the hard limit: others' caches are emptied for them, and a node without memory of its own
// is served from the others'.
func TestTheHardLimitHoldsOverNodes(t *testing.T) {
	r := coretest.Rand(t)
	const hard = 48 << 20
	h := newNodes(t, 2, Options{Config: config.Config{HardLimit: hard}})
	var live []uintptr
	refused := 0
	for i := range 4000 {
		simcpu.Set(int32(i % 2))
		if p := h.Malloc(units.Bytes(64 << r.IntN(14))); p != 0 {
			live = append(live, p)
		} else {
			refused++
		}
	}
	require.Positive(t, refused)
	var st Stats
	h.Stats(&st)
	// Tables may grow after the last request that was checked.
	require.LessOrEqual(t, st.Mapped-st.Unbacked-st.FillerReleased+st.Meta, units.Bytes(hard/100*102))
	require.Greater(t, st.Used+st.Large, units.Bytes(hard)/2)
	for _, p := range live {
		h.Free(p, CallFree)
	}
	simcpu.Set(1)
	require.NotZero(t, h.Malloc(hard/2), "what node 0 had free was not given back")
}

// A large object that grows on another node's CPU is copied there: its old node's memory stays where it was.
func TestReallocToAnotherNodeCopies(t *testing.T) {
	h := newNodes(t, 2, Options{})
	simcpu.Set(0)
	p := h.Malloc(4 << 20)
	simcpu.Set(1)
	require.NotZero(t, h.Malloc(64)) // opens the node
	simcpu.Set(0)
	behind := h.Malloc(8 << 20) // so that it can't grow in place
	simcpu.Set(1)
	key := rand.Uint64()
	fill(p, 4<<20, key)
	require.Zero(t, h.pages().NodeAt(p))
	q := h.Realloc(p, 16<<20, CallRealloc)
	require.EqualValues(t, 1, h.pages().NodeAt(q))
	require.Negative(t, intact(q, 4<<20, 4<<20, key))
	require.NotZero(t, behind)
}

func TestWithoutTheFeatureThereIsOneNode(t *testing.T) {
	h := newNodes(t, 2, Options{Config: config.Config{Legacy: config.NUMA}})
	for cpu := range int32(2) {
		simcpu.Set(cpu)
		require.NotZero(t, h.Malloc(1<<20))
		require.NotZero(t, h.Malloc(100))
	}
	require.EqualValues(t, 1, h.pages().Nodes())
}
