package pageheap

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

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
	h.collapse.wait = 0
	dense, sparse, untouched := must(t, h, 250), must(t, h, 100), must(t, h, 255)
	touch(h, dense)
	touch(h, sparse)
	if !h.space.HugePagesWanted() {
		if h.Collapse() != 0 {
			t.Fatal("collapsed although the system wants none")
		}
		t.Skip("the system's mode is never")
	}
	if b := backing(t, h, h.Span(dense).First.Huge()); b.Huge || b.Present != 250*units.PageSize {
		t.Fatalf("the window's start is not in small pages: %+v", b)
	}
	n := h.Collapse()
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
	if h.Collapse() != 0 {
		t.Error("collapsed again")
	}
}

func TestAHugepageThatIsCollapsedIsNotReleased(t *testing.T) {
	h := newHeap(t, Options{})
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
	h.letGo()
	h.Release(^units.Bytes(0), true)
	if st := checkHeap(t, h); st.Cache != 0 {
		t.Fatalf("%+v", st)
	}
}

// Spans are written and compared while others collapse, release and look at the statistics.
func TestConcurrentCollapseAndRelease(t *testing.T) {
	coreThreads(t)
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
			h.Collapse()
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
