package pageheap

import (
	"math/rand/v2"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// awkward is 2.1 MiB: a hugepage and a twentieth.
const awkward = 269

// withRegion is a heap whose next awkward request is served by a region, and the spans that made it open one.
func withRegion(t testing.TB) (*Heap, []units.SpanID) {
	h := newHeap(t, Options{})
	ids := []units.SpanID{must(t, h, awkward)}
	if !h.space.HugePagesWanted() {
		t.Skip("the system's mode is never: tails waste no memory")
	}
	for h.regions.huge == 0 {
		if ids = append(ids, must(t, h, awkward)); len(ids) > 1000 {
			t.Fatal("no region is ever opened")
		}
	}
	return h, ids
}

func TestRegionTakesWhatWouldWasteItsLastHugepage(t *testing.T) {
	h, ids := withRegion(t)
	counted := len(ids) - unhuged/2 // where hugepages are in small pages, tails waste no memory
	if tails := counted * (2*pagesOf - awkward); tails < tailsMost || tails > tailsMost+pagesOf {
		t.Errorf("opened when %d pages were wasted", tails)
	}
	before := checkHeap(t, h)
	var in []units.SpanID
	for range 40 {
		id := must(t, h, awkward)
		touch(h, id)
		in = append(in, id)
	}
	st := checkHeap(t, h)
	if st.RegionUsed != 40*awkward*units.PageSize || st.Mapped != before.Mapped || st.FillerHuge != before.FillerHuge {
		t.Fatalf("%+v", st)
	}
	if waste := st.RegionFree; waste >= 2*units.HugePageSize {
		t.Errorf("%d MiB of the region are backed and free", waste>>20)
	}
	for _, n := range []units.Pages{100, pagesOf, 2 * pagesOf} { // nothing to gain
		if id := must(t, h, n); h.regionAt(h.Span(id).First.Huge()) != nil {
			t.Errorf("%d pages lie in a region", n)
		}
	}
	for _, id := range in {
		if h.SpanOf(h.Addr(id)+awkward<<units.PageShift-1) != id {
			t.Fatal("an interior pointer is not found")
		}
	}
	h.FreeBatch(in[1:])
	h.Release(^units.Bytes(0), true)
	if st = checkHeap(t, h); st.RegionFree > 2*units.HugePageSize {
		t.Errorf("%d MiB stay", st.RegionFree>>20)
	}
	if !func() bool { id, z := h.Alloc(awkward, 0, 1); return id != 0 && !z }() {
		t.Error("pages of a shared hugepage are called zero")
	}
	h.Free(in[0])
	checkHeap(t, h)
}

func TestARegionThatEmptiesIsDissolved(t *testing.T) {
	h, ids := withRegion(t)
	a, b := must(t, h, awkward), must(t, h, 3*pagesOf+1)
	h.FreeBatch(ids)
	h.Free(a)
	if st := checkHeap(t, h); st.RegionHuge == 0 {
		t.Fatal("a region in use is gone")
	}
	h.Free(b)
	st := checkHeap(t, h)
	if st.RegionHuge != 0 || st.Cache+st.Unbacked != st.Mapped {
		t.Fatalf("%+v", st)
	}
	must(t, h, units.Pages(st.Mapped>>units.PageShift)) // all is one run again
	checkHeap(t, h)
}

func TestResizeInARegion(t *testing.T) {
	h, _ := withRegion(t)
	a, b := must(t, h, awkward), must(t, h, awkward)
	if h.TryResize(a, awkward+1) {
		t.Fatal("grew over a neighbour")
	}
	for _, n := range []units.Pages{awkward + 1, 5000, 300, 256, 10, 1, 700} {
		if !h.TryResize(b, n) {
			t.Fatalf("can't become %d pages", n)
		}
		if checkHeap(t, h); h.Span(b).Pages != n || h.SpanOf(h.Addr(b)+uintptr(n)<<units.PageShift-1) != b {
			t.Fatalf("not %d pages", n)
		}
	}
	if h.TryResize(b, units.Pages(h.regions.list[0].huge*perHuge)) {
		t.Fatal("grew out of its region")
	}
	h.FreeBatch([]units.SpanID{a, b})
	checkHeap(t, h)
}

func TestRandomSpansInRegions(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	h, _ := withRegion(t)
	type held struct {
		id    units.SpanID
		stamp uint64
	}
	var live []held
	now := int64(1e9)
	for i := range 4000 {
		if len(live) < 20 || r.IntN(2) == 0 && len(live) < 60 {
			n := units.Pages(pagesOf + 1 + r.IntN(3*pagesOf))
			id, zeroed := h.Alloc(n, 0, 1)
			last := h.Addr(id) + uintptr(n)<<units.PageShift - 8
			if zeroed && sys.Load64(h.Addr(id))|sys.Load64(last) != 0 {
				t.Fatal("not zero")
			}
			sys.Store64(h.Addr(id), uint64(i)+1)
			sys.Store64(last, uint64(i)+1)
			live = append(live, held{id, uint64(i) + 1})
		} else {
			k := r.IntN(len(live))
			x := live[k]
			s := h.Span(x.id)
			if sys.Load64(h.Addr(x.id)) != x.stamp || sys.Load64(h.Addr(x.id)+uintptr(s.Pages)<<units.PageShift-8) != x.stamp {
				t.Fatalf("step %d: span %d was overwritten", i, x.id)
			}
			h.Free(x.id)
			live[k] = live[len(live)-1]
			live = live[:len(live)-1]
		}
		if r.IntN(50) == 0 {
			h.Release(units.Bytes(r.IntN(64)<<20), true)
			now += 1e9
			h.Background(now, Urgency(r.IntN(3)))
		}
		if i%50 == 0 {
			checkHeap(t, h)
		}
	}
}
