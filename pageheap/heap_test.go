package pageheap

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

const pagesOf = units.PagesPerHuge

func TestRandomOperationsKeepTheInvariants(t *testing.T) {
	seeds, steps := 8, 3000
	if testing.Short() {
		seeds = 2
	}
	var ops [numOps]int
	for i := range seeds {
		seed := uint64(time.Now().UnixNano()) + uint64(i)
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 1))
		m := newModel(t, Options{Seed: seed, LifetimeFiller: i%2 == 0})
		if i%4 >= 2 {
			m.h.regions.patience = 600 // pages: so that even a small heap has regions
		}
		for range steps {
			x := r.Uint32()
			m.step(byte(x), byte(x>>8), byte(x>>16))
			if m.steps%32 == 0 {
				m.check()
			}
		}
		m.finish()
		for o, n := range m.ops {
			ops[o] += n
		}
	}
	t.Logf("operations done: %v", ops)
	for o, n := range ops {
		if n == 0 {
			t.Errorf("operation %d never did anything", o)
		}
	}
}

func FuzzOperations(f *testing.F) {
	f.Add([]byte{1, 0, 0, 20, 1, 1, 40, 2, 3}, true)
	f.Add([]byte("a longer list of operations, three bytes each, decoded by model.step"), false)
	f.Fuzz(func(t *testing.T, ops []byte, lifetime bool) {
		if len(ops) > 3000 {
			return
		}
		m := newModel(t, Options{Seed: 1, LifetimeFiller: lifetime})
		for ; len(ops) >= 3; ops = ops[3:] {
			m.step(ops[0], ops[1], ops[2])
			m.check()
		}
		m.finish()
	})
}

func TestZeroHeapRefuses(t *testing.T) {
	h := new(Heap)
	if id, _ := h.Alloc(1, 0, 1); id != 0 {
		t.Fatal("memory without a window")
	}
	if h.Release(^units.Bytes(0), true) != 0 || h.Background(1, Calm) != 0 || h.SpanOf(4096) != 0 {
		t.Fatal("a zero heap has something")
	}
}

// must allocates n pages, or fails the test.
func must(t testing.TB, h *Heap, n units.Pages) units.SpanID {
	t.Helper()
	id, _ := h.Alloc(n, 0, 1)
	if id == 0 {
		t.Fatalf("no memory for %d pages", n)
	}
	return id
}

// newHugeHeap is a heap whose part in small pages is taken: what follows lies in hugepages. It skips the test where there
// are none.
func newHugeHeap(t testing.TB) *Heap {
	t.Helper()
	h := newHeap(t, Options{})
	must(t, h, unhuged*pagesOf)
	if !h.space.HugePagesWanted() {
		t.Skip("the system's mode is never")
	}
	return h
}

func checkHeap(t testing.TB, h *Heap) Stats {
	t.Helper()
	if d := h.Check(); d != "" {
		t.Fatal(d)
	}
	var st Stats
	h.Stats(&st)
	return st
}

func TestDonatedTailRejoinsWhenItsSpanDies(t *testing.T) {
	h := newHeap(t, Options{})
	big := must(t, h, 3*pagesOf+10)
	st := checkHeap(t, h)
	if st.FillerHuge != 1 || st.FillerFree+st.FillerReleased != (pagesOf-10)*units.PageSize {
		t.Fatalf("no donation: %+v", st)
	}
	h.Free(big)
	if st = checkHeap(t, h); st.FillerHuge != 0 || st.Cache != 4*units.HugePageSize {
		t.Fatalf("the range did not rejoin: %+v", st)
	}
	if again := must(t, h, 4*pagesOf); h.Span(again).First != 0 {
		t.Fatal("the four hugepages are not one run")
	}
}

func TestDonatedTailInUseOutlivesItsSpan(t *testing.T) {
	h := newHeap(t, Options{})
	big := must(t, h, 3*pagesOf+10)
	small := must(t, h, 5)
	if h.Span(small).First != 3*pagesOf+10 {
		t.Fatalf("the donated tail was not used: page %d", h.Span(small).First)
	}
	h.Free(big)
	if st := checkHeap(t, h); st.FillerHuge != 1 || st.Cache != 3*units.HugePageSize {
		t.Fatalf("%+v", st)
	}
	h.Free(small)
	if st := checkHeap(t, h); st.FillerHuge != 0 || st.Cache != 4*units.HugePageSize {
		t.Fatalf("%+v", st)
	}
}

func TestLifetimeFillerSeparatesManyObjectsFromFew(t *testing.T) {
	for _, on := range []bool{false, true} {
		h := newHeap(t, Options{LifetimeFiller: on})
		few, _ := h.Alloc(2, 1, fewObjects)
		many, _ := h.Alloc(2, 1, fewObjects+1)
		if h.Span(few).First.Huge() != h.Span(many).First.Huge() {
			t.Errorf("lifetime filler %v: two hugepages for a heap of four pages", on)
		}
		for range apartFrom {
			must(t, h, pagesOf-1)
		}
		few, _ = h.Alloc(20, 1, fewObjects)
		many, _ = h.Alloc(20, 1, fewObjects+1)
		again, _ := h.Alloc(20, 1, fewObjects+1)
		apart := h.Span(few).First.Huge() != h.Span(many).First.Huge()
		if apart != on || h.Span(many).First.Huge() != h.Span(again).First.Huge() {
			t.Errorf("lifetime filler %v: apart %v in a large heap", on, apart)
		}
		checkHeap(t, h)
	}
}

// In a small heap a span goes to its own set first, then to the other; a hugepage is opened for it last.
func TestASmallHeapPrefersASetsOwnHugepages(t *testing.T) {
	h := newHeap(t, Options{LifetimeFiller: true})
	fill, _ := h.Alloc(250, 1, fewObjects)
	many, _ := h.Alloc(30, 1, fewObjects+1) // no room: opens the other set
	few, _ := h.Alloc(6, 1, fewObjects)
	own, _ := h.Alloc(10, 1, fewObjects+1)
	if h.Span(few).First.Huge() != h.Span(fill).First.Huge() || h.Span(own).First.Huge() != h.Span(many).First.Huge() {
		t.Error("a span lies in the other set although its own has room")
	}
	if other, _ := h.Alloc(10, 1, fewObjects); h.Span(other).First.Huge() != h.Span(many).First.Huge() {
		t.Error("a hugepage was opened although the other set has room")
	}
	if hinted, _ := h.AllocHinted(10, 1, HintShort); h.Span(hinted).First.Huge() == h.Span(many).First.Huge() {
		t.Error("a hint was not obeyed")
	}
	checkHeap(t, h)
}

// The switch chooses where spans lie and not what hugepages are asked for, or a comparison of designs would measure both.
func TestEarningDoesNotDependOnTheSwitch(t *testing.T) {
	for _, on := range []bool{false, true} {
		h := newHeap(t, Options{LifetimeFiller: on})
		h.growMu.Lock()
		h.grow(16)
		h.growMu.Unlock()
		h.cache.take(0, earnedFrom)
		if g := h.take(1, 1, setLong); !g.earned {
			t.Errorf("lifetime filler %v: a hugepage of small objects is not asked for", on)
		}
		h.cache.take(h.takeHuge(1, 1), 1)
		if g := h.take(255, 1, setShort); g.earned {
			t.Errorf("lifetime filler %v: a hugepage of a large object is asked for", on)
		}
		h.mu.Unlock()
	}
}

func TestFillerTakesTheFullestHugepageThatFits(t *testing.T) {
	h := newHeap(t, Options{})
	a := must(t, h, 200) // leaves 56
	b := must(t, h, 100) // opens another hugepage, leaves 156
	if h.Span(a).First.Huge() == h.Span(b).First.Huge() {
		t.Fatal("300 pages on a hugepage")
	}
	if id := must(t, h, 50); h.Span(id).First.Huge() != h.Span(a).First.Huge() {
		t.Error("50 pages were not taken from the run of 56")
	}
	if id := must(t, h, 7); h.Span(id).First.Huge() != h.Span(b).First.Huge() {
		t.Error("7 pages did not go where they fit")
	}
	checkHeap(t, h)
}

func TestAlignedRequestsWasteNothing(t *testing.T) {
	h := newHeap(t, Options{Seed: 7})
	must(t, h, 3)
	for shift := 0; shift <= 19; shift++ { // up to 4 GiB
		align := units.Pages(1) << shift
		for _, n := range []units.Pages{1, 5, 255, 256, 700} {
			id, _ := h.AllocAligned(n, align)
			if id == 0 || h.Addr(id)%(uintptr(align)<<units.PageShift) != 0 {
				t.Fatalf("%d pages aligned to %d: span %d", n, align, id)
			}
		}
	}
	st := checkHeap(t, h)
	if want := units.Bytes(3+20*(1+5+255+256+700)) * units.PageSize; st.Large != want {
		t.Fatalf("%d bytes in spans, want %d", st.Large, want)
	}
}

func TestFreshSpansAreZeroAndUsedOnesAreNot(t *testing.T) {
	h := newHeap(t, Options{})
	for _, n := range []units.Pages{1, 100, pagesOf, 2*pagesOf + 1} {
		id, zeroed := h.Alloc(n, 0, 1)
		if !zeroed {
			t.Errorf("%d fresh pages are not known as zero", n)
		}
		h.Free(id)
		if id, zeroed = h.Alloc(n, 0, 1); zeroed {
			t.Errorf("%d used pages are called zero", n)
		}
		sys.Store64(h.Addr(id), 1)
		h.Free(id)
		h.Release(^units.Bytes(0), true)
		id, zeroed = h.Alloc(n, 0, 1)
		if !zeroed || sys.Load64(h.Addr(id)) != 0 {
			t.Errorf("%d released pages are not zero", n)
		}
		h.Free(id)
		h.Release(^units.Bytes(0), true)
	}
}

func TestResizeInPlace(t *testing.T) {
	h := newHeap(t, Options{})
	id := must(t, h, 10)
	for _, n := range []units.Pages{200, 256, 257, 511, 512, 2048, 700, 513, 512, 256, 255, 1, 5000, 4999, 100000, 3} {
		if !h.TryResize(id, n) {
			t.Fatalf("a lone span can't become %d pages", n)
		}
		if st := checkHeap(t, h); st.Large != units.Bytes(n)<<units.PageShift {
			t.Fatalf("%d pages: %+v", n, st)
		}
	}
	other := must(t, h, 4)
	if h.TryResize(id, 4) || !h.TryResize(other, 100) {
		t.Fatal("growth into a neighbour, or none into free pages")
	}
	checkHeap(t, h)
}

func TestResizeLeavesOthersOnTheTailAlone(t *testing.T) {
	h := newHeap(t, Options{})
	id := must(t, h, 2*pagesOf+10)
	other := must(t, h, 5) // behind the tail
	if h.TryResize(id, 3*pagesOf) || h.TryResize(id, 2*pagesOf+11) {
		t.Fatal("grew over a neighbour")
	}
	for _, n := range []units.Pages{2*pagesOf + 3, 2 * pagesOf, pagesOf + 1, pagesOf} {
		if !h.TryResize(id, n) {
			t.Fatalf("can't shrink to %d", n)
		}
		checkHeap(t, h)
	}
	h.Free(other)
	if !h.TryResize(id, 3*pagesOf) {
		t.Fatal("can't grow into what is free again")
	}
	checkHeap(t, h)
}

func TestHardReleaseTakesTheEmptiestHugepagesFirst(t *testing.T) {
	h := newHugeHeap(t)
	var ids []units.SpanID
	for _, n := range []units.Pages{200, 150, 180} {
		ids = append(ids, must(t, h, n)) // each on a hugepage of its own
	}
	if got := h.Release(units.PageSize, true); got != 106*units.PageSize {
		t.Fatalf("released %d pages", got>>units.PageShift)
	}
	st := checkHeap(t, h)
	if st.FillerReleased != 106*units.PageSize || st.Released != 106*units.PageSize {
		t.Fatalf("%+v", st)
	}
	h.Free(ids[1]) // empties a hugepage that is partly released: its rest goes too
	if st = checkHeap(t, h); st.Unbacked != units.HugePageSize || st.FillerReleased != 0 || st.Released != units.HugePageSize {
		t.Fatalf("%+v", st)
	}
	// Released pages are the last choice.
	h.Release(^units.Bytes(0), true)
	if id, zeroed := h.Alloc(50, 0, 1); !zeroed || h.Span(id).First.Huge() != h.Span(ids[0]).First.Huge() {
		t.Fatal("the best fitting released hugepage was not used")
	}
	checkHeap(t, h)
}

func TestBackgroundReturnsUnusedHugepagesWithinAMinute(t *testing.T) {
	h := newHeap(t, Options{})
	h.Free(must(t, h, 64*pagesOf))
	now := int64(1e9)
	h.Background(now, Calm)
	for range 60 {
		now += 1e9
		h.Background(now, Calm)
		checkHeap(t, h)
	}
	if st := checkHeap(t, h); st.Cache > 1*units.HugePageSize || st.Released < 63*units.HugePageSize {
		t.Fatalf("after a minute: %+v", st)
	}
}

func TestBackgroundKeepsWhatIsUsedAgain(t *testing.T) {
	h := newHeap(t, Options{})
	for now := int64(1); now < 60; now++ {
		h.Free(must(t, h, 64*pagesOf))
		h.Background(now*1e9, Calm)
	}
	if st := checkHeap(t, h); st.Cache != 64*units.HugePageSize {
		t.Fatalf("%+v", st)
	}
}

// blockTable puts a foreign mapping where the table would grow, and returns how to remove it.
func block(t *testing.T, at uintptr) func() {
	t.Helper()
	const n = 64 << 10
	got, e := sys.Mmap(at, n, sys.ProtNone, sys.MapPrivate|sys.MapNoReserve|sys.MapFixedNoReplace)
	if e != 0 || got != at {
		t.Fatalf("can't block %x: %d", at, e)
	}
	return func() { sys.Munmap(at, n) }
}

func TestMetadataFailureLeavesTheHeapAsItWas(t *testing.T) {
	h := newHeap(t, Options{})
	must(t, h, 1)
	before := checkHeap(t, h)
	table := &h.filler.trackers.table
	unblock := block(t, table.Base()+table.Mapped())
	huge := units.Pages(table.Mapped()>>trackerShift+1) * pagesOf // one tracker more than there is
	if id, _ := h.Alloc(huge, 0, 1); id != 0 {
		t.Fatal("a span without trackers")
	}
	after := checkHeap(t, h)
	if after.Meta = before.Meta; after != before {
		t.Fatalf("%+v\n%+v", before, after)
	}
	unblock()
	must(t, h, huge)
	checkHeap(t, h)
}

func TestForeignMappingInTheWindowIsSkipped(t *testing.T) {
	h := newHeap(t, Options{})
	a := must(t, h, 1)
	at := h.space.Base() + h.space.Grown() + h.space.SpareBytes()
	defer block(t, at)()
	b := must(t, h, 64*pagesOf)
	if h.Addr(b) <= at {
		t.Fatal("the span lies over the foreign mapping")
	}
	sys.Store64(h.Addr(b)+64<<units.HugePageShift-8, 1)
	checkHeap(t, h)
	if h.SpanOf(at) != 0 || h.SpanOf(h.Addr(b)+12345678) != b || h.SpanOf(h.Addr(a)) != a {
		t.Fatal("wrong span")
	}
	h.FreeBatch([]units.SpanID{a, b})
	checkHeap(t, h)
}

// Behind a gap more metadata is needed than was ensured; when the system has none, the hugepages wait.
func TestHugepagesWithoutMetadataArePending(t *testing.T) {
	h := newHeap(t, Options{})
	must(t, h, 1)
	defer block(t, h.space.Base()+h.space.Grown()+h.space.SpareBytes())()
	table := &h.filler.trackers.table
	unblock := block(t, table.Base()+table.Mapped())
	if id, _ := h.Alloc(64*pagesOf, 0, 1); id != 0 {
		t.Fatal("a span without trackers")
	}
	if st := checkHeap(t, h); h.pendingCount != 64 || st.Unbacked < 64*units.HugePageSize {
		t.Fatalf("pending %d: %+v", h.pendingCount, st)
	}
	if h.SpanOf(h.space.Base()+h.space.Grown()-1) != 0 {
		t.Fatal("a span in pending hugepages")
	}
	unblock()
	must(t, h, 64*pagesOf)
	if st := checkHeap(t, h); h.pendingCount != 0 || st.HugeGrown != 65 {
		t.Fatalf("%+v", st)
	}
}

func TestRefusedReleaseKeepsTheMemory(t *testing.T) {
	h := newHeap(t, Options{})
	id := must(t, h, 2*pagesOf)
	addr := h.Addr(id)
	sys.Munmap(addr+units.HugePageSize, units.HugePageSize) // MADV_DONTNEED of a hole fails
	h.Free(id)
	if h.Release(^units.Bytes(0), true) != 0 {
		t.Fatal("released a hole")
	}
	if st := checkHeap(t, h); st.MadviseFailures == 0 || st.Cache != 2*units.HugePageSize || st.Released != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestConcurrentUse(t *testing.T) {
	coretest.Threads(t, 8)
	h := newHeap(t, Options{LifetimeFiller: true})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 2))
			var mine []units.SpanID
			for i := range 4000 {
				switch k := r.IntN(20); {
				case k < 10:
					id, _ := h.Alloc(units.Pages(1+r.IntN(40)), units.ClassID(r.IntN(3)), uint16(r.IntN(40)))
					sys.Store64(h.Addr(id), uint64(id))
					mine = append(mine, id)
				case k == 10:
					id, _ := h.AllocAligned(units.Pages(1+r.IntN(600)), 1<<r.IntN(10))
					sys.Store64(h.Addr(id), uint64(id))
					mine = append(mine, id)
				case k == 11 && len(mine) > 0:
					h.TryResize(mine[0], units.Pages(1+r.IntN(300)))
				case k == 12 && i%8 == 0:
					h.Release(units.Bytes(r.IntN(64))<<20, true)
				case len(mine) > 0:
					n := min(len(mine), 1+r.IntN(3))
					for _, id := range mine[:n] {
						if sys.Load64(h.Addr(id)) != uint64(id) {
							t.Errorf("span %d was overwritten", id)
						}
					}
					h.FreeBatch(mine[:n])
					mine = mine[n:]
				}
				if i%64 == 0 {
					var st Stats
					if h.Stats(&st); st.Mapped != st.Accounted() {
						t.Errorf("%+v", st)
					}
				}
			}
			h.FreeBatch(mine)
		})
	}
	wg.Wait()
	h.Release(^units.Bytes(0), true)
	if st := checkHeap(t, h); st.Unbacked != st.Mapped {
		t.Fatalf("%+v", st)
	}
}

func TestSizesFromAPageTo64GiB(t *testing.T) {
	h := newHeap(t, Options{LifetimeFiller: true})
	var ids []units.SpanID
	for n := units.Pages(1); n <= 64<<30>>units.PageShift; n *= 2 {
		for _, k := range []units.Pages{n, n + 1, n + n/3} {
			id := must(t, h, k)
			sys.Store64(h.Addr(id), uint64(id))
			sys.Store64(h.Addr(id)+uintptr(k)<<units.PageShift-8, uint64(id))
			ids = append(ids, id)
		}
	}
	st := checkHeap(t, h)
	for _, id := range ids {
		if s := h.Span(id); sys.Load64(h.Addr(id)) != uint64(id) || sys.Load64(h.Addr(id)+uintptr(s.Pages)<<units.PageShift-8) != uint64(id) {
			t.Fatalf("a span of %d pages was overwritten", s.Pages)
		}
	}
	h.FreeBatch(ids)
	h.Release(^units.Bytes(0), true)
	if st = checkHeap(t, h); st.Unbacked != st.Mapped {
		t.Fatalf("%+v", st)
	}
}
