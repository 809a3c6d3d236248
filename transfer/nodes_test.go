package transfer

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/simcpu"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// nodesOf is a topology of n nodes of two CPUs, each a domain, and the node of a CPU there.
func nodesOf(n int) (text string) {
	for i := range n {
		text += fmt.Sprintf("%d@%d;%d@%d;", 2*i, 100+i, 2*i+1, 100+i)
	}
	return text[:len(text)-1]
}

// checkNodes expects the shared caches of each node to hold that node's objects only.
func checkNodes(t testing.TB, k *Tier) {
	t.Helper()
	for i := range k.Nodes() {
		g := k.sharedOf(i)
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			q := &g.caches[c]
			require.LessOrEqual(t, q.used, q.capacity)
			for _, p := range g.at(q.first, q.used) {
				require.Equal(t, i, k.Central.Pages.NodeAt(p), "class %d", c)
			}
		}
	}
}

func TestNodesOpenAsTheyAreUsed(t *testing.T) {
	k := newTier(t)
	divide(t, k, nodesOf(3))
	const c = 10
	first := removeOn(t, k, 4, c, 8) // of node 102: it has the home heap
	require.EqualValues(t, 1, k.Nodes())
	require.Zero(t, k.Node())
	second := removeOn(t, k, 1, c, 8)
	require.EqualValues(t, 2, k.Nodes())
	require.EqualValues(t, 2, k.Node())
	simcpu.Set(5)
	require.EqualValues(t, 1, k.Node())
	for i := range first {
		require.Zero(t, k.Central.Pages.NodeAt(first[i]))
		require.EqualValues(t, 1, k.Central.Pages.NodeAt(second[i]))
	}
	var st NodeStats
	k.NodeStats(0, &st)
	require.EqualValues(t, 102, st.Kernel)
	k.NodeStats(1, &st)
	require.EqualValues(t, 100, st.Kernel)
}

func TestWhatIsFreedElsewhereGoesHome(t *testing.T) {
	k := newTier(t)
	divide(t, k, nodesOf(2))
	const c = 20
	useBoth(t, k, c)
	here, there := removeOn(t, k, 0, c, 16), removeOn(t, k, 2, c, 16)
	mixed := make([]uintptr, 0, 32)
	for i := range here {
		mixed = append(mixed, here[i], there[i])
	}
	var before, st NodeStats
	k.NodeStats(0, &before)
	insertOn(t, k, 3, c, mixed)
	checkNodes(t, k)
	k.NodeStats(0, &st)
	require.EqualValues(t, 16, st.Home-before.Home)
	// What node 0 asks for now is its own: those 16 first.
	again := map[uintptr]bool{}
	for _, p := range removeOn(t, k, 1, c, 16) {
		require.Zero(t, k.Central.Pages.NodeAt(p))
		again[p] = true
	}
	for _, p := range here {
		require.True(t, again[p])
	}
}

func TestSwitchedOffNodesAreOne(t *testing.T) {
	k := newTier(t)
	k.OneNode = true
	divide(t, k, nodesOf(4))
	for cpu := range int32(8) {
		insertOn(t, k, cpu, 3, removeOn(t, k, cpu, 3, 4))
	}
	require.EqualValues(t, 1, k.Nodes())
	require.EqualValues(t, 1, k.Central.Pages.Nodes())
}

// The switch of last-level cache domains leaves nodes alone, and one node is none.
func TestNodesDoWithoutShards(t *testing.T) {
	k := newTier(t)
	divide(t, k, "0-3@100")
	require.EqualValues(t, 1, k.Nodes())
	k = newTier(t)
	divide(t, k, nodesOf(2))
	k.Legacy = true
	insertOn(t, k, 0, 9, removeOn(t, k, 2, 9, 30))
	insertOn(t, k, 2, 9, removeOn(t, k, 0, 9, 30))
	require.EqualValues(t, 2, k.Nodes())
	checkNodes(t, k)
}

func TestRandomOperationsOfManyNodesConserveObjects(t *testing.T) {
	for _, nodes := range []int{2, 4} {
		k := newTier(t)
		divide(t, k, nodesOf(nodes))
		m := newChurn(t, k, coretest.Rand(t))
		for i := range coretest.Long(10000) {
			c := m.class()
			simcpu.Set(int32(m.r.IntN(1 + min(i/500, 2*nodes-1))))
			switch op := m.r.IntN(100); {
			case op < 48 && m.mayRemove(c):
				got := m.remove(c)
				at := k.Node()
				for _, p := range got {
					require.Equal(t, max(at, 1)-1, k.Central.Pages.NodeAt(p), "no memory is short: nothing comes from elsewhere")
				}
			case op < 94:
				m.r.Shuffle(len(m.out[c]), func(i, j int) { m.out[c][i], m.out[c][j] = m.out[c][j], m.out[c][i] })
				m.insert(c)
			case op < 96:
				k.Plunder()
			case op < 99:
				k.Rebalance()
			default:
				k.Drain()
			}
			if i%100 == 0 {
				check(t, k, held(&m.out))
				checkNodes(t, k)
			}
		}
		require.EqualValues(t, nodes, k.Nodes())
		giveAllBack(t, k, &m.out)
		for i := range k.Nodes() {
			var st NodeStats
			k.NodeStats(i, &st)
			require.Positive(t, st.Near)
			require.Positive(t, st.Home)
			require.Zero(t, st.Far)
		}
	}
}

// Memory runs out at random moments, on all nodes: a node is then served from the others, and nothing is lost.
func TestANodeWithoutMemoryIsServedByTheOthers(t *testing.T) {
	r := coretest.Rand(t)
	k := new(Tier)
	require.True(t, k.Central.Pages.Init(pageheap.Options{Seed: rand.Uint64(), MaxBytes: 24 << units.HugePageShift}))
	t.Cleanup(k.Central.Pages.Unmap)
	require.True(t, k.Init())
	divide(t, k, nodesOf(4))
	var out [sizeclass.NumClasses][]uintptr
	refusals, strange := 0, 0
	for range coretest.Long(20000) {
		c := units.ClassID(1 + r.IntN(sizeclass.NumClasses-1))
		simcpu.Set(int32(r.IntN(8)))
		var buf [centralfreelist.MaxBatch]uintptr
		if r.IntN(5) < 4 {
			n := k.Remove(c, buf[:], 1+r.IntN(len(buf)))
			if n == 0 {
				refusals++
				if r.IntN(20) == 0 {
					k.Drain()
				}
			}
			for _, p := range buf[:n] {
				if k.Central.Pages.NodeAt(p)+1 != max(k.Node(), 1) {
					strange++
				}
			}
			out[c] = append(out[c], buf[:n]...)
			continue
		}
		n := copy(buf[:1+r.IntN(len(buf))], out[c])
		out[c] = out[c][n:]
		require.Zero(t, k.Insert(c, buf[:n]))
	}
	require.Positive(t, refusals)
	far := uint64(0)
	for i := range k.Nodes() {
		var st NodeStats
		k.NodeStats(i, &st)
		far += st.Far
	}
	require.EqualValues(t, strange, far, "what came from elsewhere, and what was counted")
	require.Positive(t, far)
	checkNodes(t, k)
	giveAllBack(t, k, &out)
}

// Something lies where a node's caches would: the home heap serves it.
func TestANodeWithoutMetadataIsServedByTheHomeHeap(t *testing.T) {
	k := newTier(t)
	divide(t, k, nodesOf(3))
	at := k.nodes.table.Base()
	_, err := unix.MmapPtr(-1, 0, unsafe.Add(nil, at), 4096, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED)
	require.NoError(t, err)
	for cpu := range int32(6) {
		objects := removeOn(t, k, cpu, 7, 5)
		require.Zero(t, k.Central.Pages.NodeAt(objects[0]))
		insertOn(t, k, cpu, 7, objects)
	}
	require.EqualValues(t, 1, k.Nodes())
}
