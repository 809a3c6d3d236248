package pageheap

import (
	"math/rand/v2"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// tidyAfter moves the clock on by so many slots, with a look at the end of each.
func tidyAfter(h *Heap, now *int64, n int) (done units.Bytes) {
	for range n {
		*now += briefNanos
		done += h.Tidy(*now, *now)
	}
	return done
}

func TestTidyReturnsWhatWasNotWantedForSomeSlots(t *testing.T) {
	h := newHeap(t, Options{})
	now := int64(1e9)
	keep := must(t, h, 100)
	other := must(t, h, 100)
	touch(h, keep)
	touch(h, other)
	tidyAfter(h, &now, 1)
	h.Free(other)
	if got := tidyAfter(h, &now, eagerSlots); got != 0 {
		t.Fatalf("%d bytes went back at once", got)
	}
	if got := tidyAfter(h, &now, 2); got != 100*units.PageSize {
		t.Fatalf("%d pages went back", got>>units.PageShift)
	}
	if b := backing(t, h, 0); b.Present != 100*units.PageSize {
		t.Fatalf("%+v", b)
	}
	if st := checkHeap(t, h); st.FillerFree != 0 || st.Released != 100*units.PageSize {
		t.Fatalf("%+v", st)
	}
	for a, i := h.Addr(keep), units.Pages(0); i < 100; a, i = a+units.PageSize, i+1 {
		if sys.Load64(a) != uint64(a) {
			t.Fatal("a page in use was lost")
		}
	}
}

func TestTidyIsPatientAbove32MiB(t *testing.T) {
	h := newHeap(t, Options{})
	now := int64(1e9)
	keep := must(t, h, eagerBelow*pagesOf)
	other := must(t, h, 100)
	touch(h, other)
	tidyAfter(h, &now, 1)
	must(t, h, 1) // keeps the hugepage in the filler
	h.Free(other)
	if got := tidyAfter(h, &now, briefSlots); got != 0 {
		t.Fatalf("%d bytes went back at once", got)
	}
	h.Free(keep)
	if got := tidyAfter(h, &now, briefSlots); got != 0 {
		t.Fatalf("%d bytes went back at once", got)
	}
	if got := tidyAfter(h, &now, 2); got == 0 {
		t.Fatal("nothing went back")
	}
}

func TestTidyReturnsFreeHugepages(t *testing.T) {
	h := newHugeHeap(t)
	now := int64(1e9)
	id := must(t, h, 3*pagesOf)
	tidyAfter(h, &now, 2)
	h.Free(id)
	if got := tidyAfter(h, &now, briefSlots+2); got != 3*units.HugePageSize {
		t.Fatalf("%d bytes went back", got)
	}
	if st := checkHeap(t, h); st.Cache != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestTidyBreaksNoHugepage(t *testing.T) {
	h := newHugeHeap(t)
	now := int64(1e9)
	must(t, h, 10)
	id := must(t, h, 200)
	tidyAfter(h, &now, 2)
	h.Free(id)
	if got := tidyAfter(h, &now, 20); got != 0 {
		t.Fatalf("%d bytes of a hugepage in use went back", got)
	}
}

func TestTidyLeavesLargeHeapsToTheBackground(t *testing.T) {
	h := newHeap(t, Options{})
	now := int64(1e9)
	id := must(t, h, (briefBelow+1)*pagesOf)
	tidyAfter(h, &now, 2)
	h.Free(id)
	if got := tidyAfter(h, &now, 20); got != 0 {
		t.Fatalf("%d bytes went back", got)
	}
}

// Whatever the load does, the faults for memory that went back stay within the share of the processor time, but for
// what one look may have given back too much.
func TestTidyCostsNoMoreThanItsShare(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 15))
		h := newHeap(t, Options{LifetimeFiller: true})
		var ids []units.SpanID
		now, done := int64(1e9), units.Bytes(0)
		start, period := now, 1+r.IntN(60)
		for i := range 4000 {
			high := i/period%2 == 0
			for len(ids) > 40 && !high || len(ids) > 200 {
				k := r.IntN(len(ids))
				h.Free(ids[k])
				ids[k] = ids[len(ids)-1]
				ids = ids[:len(ids)-1]
			}
			for len(ids) < 180 && high {
				ids = append(ids, must(t, h, units.Pages(1+r.IntN(20))))
			}
			now += 2e6
			done += h.Tidy(now, now)
			if i%500 == 0 {
				checkHeap(t, h)
			}
		}
		b := &h.brief
		outstanding := int64(b.lentPages)*pageFaults + int64(b.lentHuge)*hugeFault
		cost := int64(done>>units.PageShift)*pageFaults - outstanding
		most := (now-start)/eagerShare + briefFirst + 2*briefMost>>units.PageShift*pageFaults
		if cost > most || b.balance > briefSaved {
			t.Errorf("period %d: %d MiB went back and cost %d us, at most %d; balance %d", period, done>>20, cost/1000, most/1000, b.balance)
		}
		if period > briefSlots*3 && done == 0 {
			t.Errorf("period %d: nothing went back", period)
		}
	}
}

func TestUntouchedSmallPagesAreTheLastChoice(t *testing.T) {
	h := newHeap(t, Options{})
	a, b := must(t, h, 50), must(t, h, 30)
	if st := checkHeap(t, h); st.FillerFree != 0 || st.FillerReleased != (pagesOf-80)*units.PageSize {
		t.Fatalf("pages that nobody touched count as resident: %+v", st)
	}
	first := h.Span(a).First
	h.Free(a)
	if c := must(t, h, 40); h.Span(c).First != first {
		t.Errorf("page %d was taken, %d had been touched", h.Span(c).First, first)
	}
	h.Free(b)
	checkHeap(t, h)
}

func TestLooksInQuickSuccessionBecomeRarerUntilOneIsLate(t *testing.T) {
	var b brief
	b.init()
	now := int64(1e9)
	b.pace(now)
	if b.every != briefCalls {
		t.Fatal(b.every)
	}
	for range 20 {
		now += briefSoon / 2
		b.pace(now)
		if b.every > briefRare {
			t.Fatal(b.every)
		}
	}
	if b.every != briefRare {
		t.Fatal(b.every)
	}
	b.pace(now + briefSoon)
	if b.every != briefCalls {
		t.Fatal(b.every)
	}
}
