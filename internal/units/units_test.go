package units

import (
	"math/rand/v2"
	"testing"
)

func TestPagesForIsTheCeiling(t *testing.T) {
	for _, n := range []Bytes{0, 1, PageSize - 1, PageSize, PageSize + 1, MaxSmall, 1 << 40, 1<<44 - PageSize} {
		want := n / PageSize
		if n%PageSize != 0 {
			want++
		}
		if got := PagesFor(n); Bytes(got) != want {
			t.Errorf("PagesFor(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestPageLiesInItsHugepage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 10000 {
		p := PageID(r.Uint32())
		h := p.Huge()
		if first := h.Page(); first > p || p-first >= PagesPerHuge || first.Huge() != h {
			t.Fatalf("page %d: hugepage %d begins at page %d", p, h, first)
		}
	}
	if HugePageID(3).Page() != 3*PagesPerHuge {
		t.Error("hugepages are not numbered in order")
	}
}

func TestSizesAgree(t *testing.T) {
	if PageSize != 8<<10 || HugePageSize != 2<<20 || PagesPerHuge*PageSize != HugePageSize || 1<<PagesPerHugeShift != PagesPerHuge {
		t.Error("page sizes disagree")
	}
	if MaxSmall%PageSize != 0 {
		t.Error("the largest small size is no multiple of the page")
	}
}

func TestNoPageIsInNoWindow(t *testing.T) {
	const windowPages = 1 << 27 // 1 TiB, the largest window
	if NoPage < windowPages || NoHuge < windowPages/PagesPerHuge {
		t.Error("the number for \"none\" could be a page")
	}
}
