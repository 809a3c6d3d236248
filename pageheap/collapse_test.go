package pageheap

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// touch writes to each page of a span.
func touch(h *Heap, id units.SpanID) {
	s := h.Span(id)
	for a := h.Addr(id); a < h.Addr(id)+uintptr(s.Pages)<<units.PageShift; a += 4096 {
		sys.Store64(a, uint64(a))
	}
}

// backing asks the kernel what lies behind hugepage hp; it skips the test where nobody tells.
func backing(t *testing.T, h *Heap, hp units.HugePageID) vm.Backing {
	t.Helper()
	p, ok := vm.OpenPagemap()
	if !ok {
		t.Skip("no /proc/self/pagemap")
	}
	defer p.Close()
	b := p.Inspect(h.space.Addr(hp.Page()))
	if !b.Known {
		t.Skip("the kernel does not tell what is present")
	}
	return b
}

func TestCollapseMakesDenseHugepagesWhole(t *testing.T) {
	h := newHeap(t, Options{})
	h.collapse.pace.wait = 0
	dense, sparse, untouched := must(t, h, 250), must(t, h, 100), must(t, h, 255)
	touch(h, dense)
	touch(h, sparse)
	if !h.space.HugePagesWanted() {
		if h.Collapse(1e9) != 0 {
			t.Fatal("collapsed although the system wants none")
		}
		t.Skip("the system's mode is never")
	}
	if b := backing(t, h, h.Span(dense).First.Huge()); b.Huge || b.Present != 250*units.PageSize {
		t.Fatalf("the window's start is not in small pages: %+v", b)
	}
	n := h.Collapse(1e9)
	if st := checkHeap(t, h); st.CollapseRefused > 0 {
		t.Skip("the kernel refuses to collapse")
	}
	if n != 1 {
		t.Fatalf("%d collapsed, want the dense one", n)
	}
	if b := backing(t, h, h.Span(dense).First.Huge()); b.Present != units.HugePageSize {
		t.Errorf("dense: %+v", b)
	}
	if b := backing(t, h, h.Span(dense).First.Huge()); !b.Huge {
		t.Log("the kernel does not tell which pages are huge")
	}
	for _, id := range []units.SpanID{sparse, untouched} {
		if b := backing(t, h, h.Span(id).First.Huge()); b.Huge {
			t.Errorf("%d pages: %+v", h.Span(id).Pages, b)
		}
	}
	for a := h.Addr(dense); a < h.Addr(dense)+250<<units.PageShift; a += 4096 {
		if sys.Load64(a) != uint64(a) {
			t.Fatal("the contents changed")
		}
	}
	if h.Collapse(1e9) != 0 {
		t.Error("collapsed again")
	}
}

func TestAHugepageThatIsCollapsedIsNotReleased(t *testing.T) {
	h := newHugeHeap(t)
	ids := []units.SpanID{must(t, h, 250), must(t, h, 250), must(t, h, 250)}
	h.collapse.hp = uint32(h.Span(ids[1]).First.Huge()) + 1
	h.Release(^units.Bytes(0), true)
	if st := checkHeap(t, h); st.FillerReleased != 12*units.PageSize {
		t.Fatalf("%+v", st)
	}
	h.FreeBatch(ids)
	h.Release(^units.Bytes(0), true)
	if st := checkHeap(t, h); st.Cache != units.HugePageSize {
		t.Fatalf("%+v", st)
	}
	h.letGo(false)
	h.Release(^units.Bytes(0), true)
	if st := checkHeap(t, h); st.Cache != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestCollapseCoversLargeSpans(t *testing.T) {
	h := newHeap(t, Options{})
	h.collapse.pace.wait = 0
	full, empty := must(t, h, 2*pagesOf), must(t, h, 2*pagesOf)
	touch(h, full)
	if !h.space.HugePagesWanted() {
		t.Skip("the system's mode is never")
	}
	backing(t, h, 0)
	n := 0
	for now := int64(1e9); now < 10e9; now += 1e9 {
		n += h.Collapse(now)
	}
	if st := checkHeap(t, h); st.CollapseRefused > 0 {
		t.Skip("the kernel refuses to collapse")
	}
	if n != 2 {
		t.Errorf("%d collapsed, want the two that are in memory", n)
	}
	if b := backing(t, h, h.Span(empty).First.Huge()); b.Present != 0 {
		t.Errorf("memory was put behind what nobody touched: %+v", b)
	}
	for a, end := h.Addr(full), h.Addr(full)+2*units.HugePageSize; a < end; a += 4096 {
		if sys.Load64(a) != uint64(a) {
			t.Fatal("the contents changed")
		}
	}
}

// One budget serves all nodes, and they take turns at it.
func TestNodesTakeTurnsAtCollapsing(t *testing.T) {
	h := newHeap(t, Options{})
	const nodes = 3
	for i := range uint32(nodes - 1) {
		if _, ok := h.AddNode(i + 1); !ok {
			t.Fatal("no node")
		}
	}
	h.collapse.pace.wait = 0
	for i := range uint32(nodes) {
		for range 4 {
			id, _ := h.Node(i).Alloc(250, 0, 1)
			touch(h.Node(i), id)
		}
	}
	if !h.space.HugePagesWanted() {
		t.Skip("the system's mode is never")
	}
	backing(t, h, 0)
	var done [nodes]uint64
	now := int64(1e9)
	for pass := range 9 {
		h.collapse.pace.balance = 1 // nanosecond: no collapse is so short
		if n := h.Collapse(now); n > 1 {
			t.Fatalf("pass %d: %d collapsed, the budget is one for all nodes", pass, n)
		}
		if h.collapse.pace.balance >= 0 {
			t.Fatal("a collapse cost nothing")
		}
		for i := range done {
			done[i] = h.Node(uint32(i)).collapse.done
		}
		if most, least := max(done[0], done[1], done[2]), min(done[0], done[1], done[2]); most > least+1 {
			t.Fatalf("pass %d: the nodes have %v", pass, done)
		}
	}
	if h.collapse.pace.patience != 0 || h.collapse.refused != 0 {
		t.Skip("the kernel refuses to collapse, or is slow")
	}
	if done != [nodes]uint64{3, 3, 3} {
		t.Errorf("%v collapsed in 9 passes", done)
	}
	checkHeap(t, h)
}

func TestPaceKeepsToItsShare(t *testing.T) {
	const second = int64(1e9)
	p := pace{balance: collapseSaved}
	now, total, passes := second, int64(0), 0
	for ; now < 100*second; now += second {
		if !p.begin(now) {
			continue
		}
		passes++
		for more := true; more; {
			more = p.spent(6e6, 0)
			total += 6e6
		}
	}
	if most := 100*second/collapseShare + 6e6; total > most || total < most*9/10 || passes < 90 {
		t.Errorf("%d ms in %d passes of 100 s, want about %d", total/1e6, passes, most/1e6)
	}
	// Bad ones make the passes rarer, up to one in patienceMax; what was left out is not made up for.
	bad := 0
	for ; now < 1100*second; now += second {
		if p.begin(now) {
			bad++
			p.spent(1e6, sys.ENOMEM)
		}
	}
	if bad > 8+1000/patienceMax {
		t.Errorf("%d tries where there is no memory", bad)
	}
	if p.balance > collapseSaved {
		t.Errorf("%d ns saved up", p.balance)
	}
	now += second
	p.begin(now - 50*second) // a clock that went back
	if p.balance > collapseSaved {
		t.Errorf("%d ns saved up", p.balance)
	}
}

// Spans are written and compared while others collapse, release and look at the statistics.
func TestConcurrentCollapseAndRelease(t *testing.T) {
	coretest.Threads(t, 8)
	h := newHeap(t, Options{LifetimeFiller: true})
	var done atomic.Bool
	var workers, others sync.WaitGroup
	for g := range 3 {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 9))
			var mine []units.SpanID
			for range 3000 {
				if len(mine) < 100 || r.IntN(2) == 0 {
					id, _ := h.Alloc(units.Pages(1+r.IntN(60)), 0, 1)
					touch(h, id)
					mine = append(mine, id)
					continue
				}
				k := r.IntN(len(mine))
				a := h.Addr(mine[k])
				for end := a + uintptr(h.Span(mine[k]).Pages)<<units.PageShift; a < end; a += 4096 {
					if sys.Load64(a) != uint64(a) {
						t.Errorf("page %x was lost", a)
						return
					}
				}
				h.Free(mine[k])
				mine[k] = mine[len(mine)-1]
				mine = mine[:len(mine)-1]
			}
			h.FreeBatch(mine)
		})
	}
	others.Go(func() {
		for now := int64(1e9); !done.Load(); now += 1e9 {
			h.Background(now, Urgency(now/1e9%5/3))
			h.Collapse(now)
		}
	})
	others.Go(func() {
		for !done.Load() {
			h.Release(8<<20, true)
			var st Stats
			if h.Stats(&st); st.Mapped != st.Accounted() {
				t.Errorf("%+v", st)
			}
		}
	})
	workers.Wait()
	done.Store(true)
	others.Wait()
	h.Release(^units.Bytes(0), true)
	st := checkHeap(t, h)
	t.Logf("%d collapsed, %d refused", st.Collapsed, st.CollapseRefused)
	if st.Unbacked != st.Mapped {
		t.Fatalf("%+v", st)
	}
	for hp := range units.HugePageID(st.Mapped >> units.HugePageShift) {
		if b := backing(t, h, hp); b.Present != 0 {
			t.Fatalf("hugepage %d was released and is resident: %+v", hp, b)
		}
	}
}
