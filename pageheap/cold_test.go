package pageheap

import (
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

func TestHintsKeepSpansApart(t *testing.T) {
	h := newHeap(t, Options{LifetimeFiller: true})
	seen := map[units.HugePageID]Hint{}
	for _, k := range []Hint{HintShort, HintLong, HintCold} {
		for range 3 {
			id, _ := h.AllocHinted(40, 1, k)
			hp := h.Span(id).First.Huge()
			if other, ok := seen[hp]; ok && other != k {
				t.Fatalf("hints %d and %d share a hugepage", k, other)
			}
			seen[hp] = k
		}
	}
	if len(seen) != 3 {
		t.Fatalf("%d hugepages for three hints", len(seen))
	}
	checkHeap(t, h)
}

// Behind the window's start every hugepage is asked for; where cold memory lies the kernel gives small pages, and
// hugepages again once something else lies there.
func TestColdMemoryIsInSmallPagesAndThaws(t *testing.T) {
	h := newHeap(t, Options{})
	start := must(t, h, vm.Unhuged>>units.PageShift) // out of the way
	if !h.space.HugePagesWanted() {
		t.Skip("the system's mode is never")
	}
	warm := must(t, h, 200)
	sys.Store64(h.Addr(warm), 1)
	if !backing(t, h, h.Span(warm).First.Huge()).Huge {
		t.Skip("the kernel gives no hugepage, or does not tell")
	}
	for _, n := range []units.Pages{200, 3 * pagesOf} {
		cold, _ := h.AllocHinted(n, 1, HintCold)
		hp := h.Span(cold).First.Huge()
		sys.Store64(h.Addr(cold), 1)
		if b := backing(t, h, hp); b.Huge || b.Present != 4096 {
			t.Fatalf("%d cold pages: %+v", n, b)
		}
		if h.chilled.n == 0 {
			t.Fatal("nothing is noted as cold")
		}
		h.Free(cold)
		h.Release(^units.Bytes(0), false)
		again := must(t, h, n)
		sys.Store64(h.Addr(again), 1)
		if b := backing(t, h, h.Span(again).First.Huge()); h.Span(again).First.Huge() == hp && !b.Huge {
			t.Fatalf("%d pages stay cold: %+v", n, b)
		}
		if h.chilled.n != 0 {
			t.Fatalf("%d hugepages are still noted as cold", h.chilled.n)
		}
		h.Free(again)
		h.Release(^units.Bytes(0), false)
	}
	h.Free(start)
	checkHeap(t, h)
}
