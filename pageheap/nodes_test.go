package pageheap

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/internal/faults"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// verifyNode expects all of a span's pages to be of the node whose heap handed it out.
func (m *model) verifyNode(h *Heap, first units.PageID, n units.Pages) {
	m.t.Helper()
	for p := first; p < first+units.PageID(n); p++ {
		if got := m.h.NodeAt(m.h.Space().Addr(p)); got != h.index {
			m.t.Fatalf("step %d: page %d of %d behind page %d, from node %d, is of node %d", m.steps, p-first, n, first, h.index, got)
		}
	}
}

// ofNode is those of ids that belong to node i.
func (m *model) ofNode(ids []units.SpanID, i uint32) (own []units.SpanID) {
	for _, id := range ids {
		if m.h.NodeAt(m.h.Addr(id)) == i {
			own = append(own, id)
		}
	}
	return own
}

func (m *model) addNodes(n uint32) {
	m.t.Helper()
	for i := m.h.Nodes(); i < n; i++ {
		// Kernel numbers that no machine here has: the memory can't be placed, and nothing else changes.
		if got, ok := m.h.AddNode(500 + i); !ok || got != i {
			m.t.Fatalf("node %d: %d, %v", i, got, ok)
		}
	}
}

// The whole model, with spans from 2, 4 and 16 nodes' heaps in turn: each span lies on its node, is given back there,
// and the sums hold for each node and all.
func TestEveryNodeKeepsItsPages(t *testing.T) {
	for _, nodes := range []uint32{2, 4, MaxNodes} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(nodes), 21))
			m := newModel(t, Options{Seed: r.Uint64(), LifetimeFiller: true})
			for i := range 9000 {
				if i == 300 { // until then the home heap was alone
					m.addNodes(nodes)
					for k := range nodes {
						m.h.Node(k).regions.patience = 600
					}
				}
				x := r.Uint32()
				m.step(byte(x), byte(x>>8), byte(x>>16))
				if i%100 == 0 {
					m.check()
				}
			}
			for op, n := range m.ops {
				if n == 0 {
					t.Errorf("operation %d never did anything", op)
				}
			}
			for i := range nodes {
				var st Stats
				m.h.Node(i).NodeStats(&st)
				if st.Mapped == 0 || st.SpansAllocated == 0 || st.Mapped != st.Accounted() || (st.Meta != 0) != (i == 0) {
					t.Errorf("node %d: %+v", i, st)
				}
			}
			m.finish()
		})
	}
}

// A node's memory is used up: its requests fail, the others' do not, and nothing is lost.
func TestANodeFailsAlone(t *testing.T) {
	m := newModel(t, Options{Seed: 5})
	m.addNodes(2)
	m.do(opLarge, 1000)
	full := m.h.Node(1)
	full.maxBytes = 0
	if id, _ := full.Alloc(3*units.PagesPerHuge, 0, 1); id != 0 && m.h.NodeAt(m.h.Addr(id)) != 1 {
		t.Error("memory of another node")
	}
	for range 100 {
		if id, _ := full.Alloc(600, 0, 1); id == 0 {
			full = nil
			break
		}
	}
	if full != nil {
		t.Error("more memory than there is")
	}
	if id, _ := m.h.Alloc(600, 0, 1); id == 0 {
		t.Error("the other node has no memory either")
	}
	m.check()
}

func TestNodesBeyondTheMostAreRefused(t *testing.T) {
	m := newModel(t, Options{Seed: 6})
	m.addNodes(MaxNodes)
	if i, ok := m.h.AddNode(3); ok || m.h.Nodes() != MaxNodes {
		t.Errorf("node %d", i)
	}
	m.check()
}

// The system refuses the memory of a node's heap: the home heap stays alone and whole, and a later try succeeds.
func TestANodeWithoutMetadataChangesNothing(t *testing.T) {
	faults.OnDoomedThread(func() {
		m := newModel(t, Options{Seed: 7})
		m.do(opSmall, 7)
		if err := faults.Of(unix.SYS_MMAP, unix.ENOMEM).Install(); err != nil {
			t.Skipf("no system call filter: %v", err)
		}
		if i, ok := m.h.AddNode(1); ok || m.h.Nodes() != 1 {
			t.Errorf("node %d without memory", i)
		}
		m.do(opSmall, 7)
		m.finish()
	})
}

// Limits hold for all nodes together, within a hugepage of each, and what one node has free goes back for what another
// is asked for.
func TestLimitsHoldOverAllNodes(t *testing.T) {
	m := newModel(t, Options{Seed: 8})
	m.addNodes(4)
	const hard = 64 << 20
	m.h.SetLimits(hard/2, hard)
	var ids []units.SpanID
	resident := func() units.Bytes {
		var st Stats
		m.h.Stats(&st)
		return st.Mapped - st.Unbacked - st.FillerReleased + st.Meta
	}
	for i := range uint32(4000) {
		if id, _ := m.h.Node(i%4).Alloc(32, 0, 1); id != 0 {
			ids = append(ids, id)
		}
		if r := resident(); r > hard {
			t.Fatalf("%d bytes after %d requests", r, i)
		}
	}
	held := units.Bytes(len(ids)) * 32 << units.PageShift
	if held < hard/2 || held > hard {
		t.Fatalf("%d bytes handed out below a limit of %d", held, hard)
	}
	for _, id := range ids {
		m.h.Free(id)
	}
	// All is node 1's now.
	got := 0
	for range 200 {
		if id, _ := m.h.Node(1).Alloc(32, 0, 1); id != 0 {
			got++
		}
	}
	if r := resident(); got < 100 || r > hard {
		t.Errorf("%d spans, %d bytes", got, r)
	}
	m.check()
}

func TestReleaseAndBackgroundReachAllNodes(t *testing.T) {
	m := newModel(t, Options{Seed: 9, LifetimeFiller: true})
	m.addNodes(3)
	for i := range uint32(3) {
		h := m.h.Node(i)
		a, _ := h.Alloc(4*units.PagesPerHuge, 0, 1)
		b, _ := h.Alloc(4, 0, 1)
		c, _ := h.Alloc(sizeclass.Pages(9), 9, sizeclass.Of(9).Objects)
		h.Free(a)
		h.Free(b)
		h.Free(c)
	}
	clock := int64(1)
	m.h.Background(clock, Calm)
	for range 60 {
		clock += 1e9
		m.h.Background(clock, Calm)
	}
	for i := range uint32(3) {
		var st Stats
		m.h.Node(i).NodeStats(&st)
		if st.Released == 0 {
			t.Errorf("background released nothing of node %d: %+v", i, st)
		}
	}
	m.h.Release(^units.Bytes(0), true)
	var st Stats
	if m.h.Stats(&st); st.Cache+st.FillerFree != 0 {
		t.Errorf("%+v", st)
	}
	m.check()
}
