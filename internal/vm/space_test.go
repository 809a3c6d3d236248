package vm

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

const huge = units.HugePageSize

// disjoint checks that no two spaces, tables and guards included, share an address.
func disjoint(t *testing.T, spaces []*Space) {
	t.Helper()
	var all []extent
	for _, s := range spaces {
		all = append(all, extent{s.base - s.size/metaFraction, s.base + s.size + probeSize})
	}
	slices.SortFunc(all, func(a, b extent) int {
		if a.start < b.start {
			return -1
		}
		return 1
	})
	for i := 1; i < len(all); i++ {
		if all[i].start < all[i-1].end {
			t.Errorf("%#x overlaps %#x", all[i], all[i-1])
		}
	}
}

func TestSpacesOfAProcessDoNotOverlap(t *testing.T) {
	for round := range uint64(30) {
		t.Run("", func(t *testing.T) {
			var spaces []*Space
			for range 10 {
				spaces = append(spaces, newSpace(t, round)) // one seed: the same first choice
			}
			disjoint(t, spaces)
		})
	}
}

func TestSpacesInitialisedAtOnceDoNotOverlap(t *testing.T) {
	for round := range uint64(20) {
		t.Run("", func(t *testing.T) {
			spaces := make([]*Space, 8)
			var wg sync.WaitGroup
			for i := range spaces {
				spaces[i] = new(Space)
				wg.Go(func() {
					if !spaces[i].Init(round) {
						spaces[i] = nil
					}
				})
			}
			wg.Wait()
			spaces = slices.DeleteFunc(spaces, func(s *Space) bool { return s == nil })
			if len(spaces) < 6 { // they may disturb each other's search, but not that much
				t.Errorf("only %d found a place", len(spaces))
			}
			disjoint(t, spaces)
			for _, s := range spaces {
				s.Free()
			}
		})
	}
}

func TestSeedChoosesTheAddress(t *testing.T) {
	bases := map[uintptr]bool{}
	for seed := range uint64(20) {
		s := newSpace(t, seed*0x9e3779b97f4a7c15)
		if s.Base()%huge != 0 {
			t.Errorf("base %#x is not aligned to a hugepage", s.Base())
		}
		bases[s.Base()] = true
		s.Free()
	}
	if len(bases) < 15 {
		t.Errorf("20 seeds gave %d addresses", len(bases))
	}
}

func TestInitAvoidsWhatIsMapped(t *testing.T) {
	s := newSpace(t, 1)
	base := s.Base()
	s.Free()
	foreign(t, base+12345*huge, 4096)
	if s := newSpace(t, 1); s.Base() <= base+12345*huge && base+12345*huge < s.Base()+s.size {
		t.Error("the window holds a foreign mapping")
	}
	intact(t, base+12345*huge)
}

func TestBootIsMappedAndZero(t *testing.T) {
	s := newSpace(t, 1)
	a, n := s.Boot()
	for at := a; at < a+n; at += 8 {
		if sys.Load64(at) != 0 {
			t.Fatalf("%#x at %#x", sys.Load64(at), at)
		}
		sys.Store64(at, 1)
	}
	if table := s.NewTable(1); table.Base() < a+n {
		t.Error("the first table lies in it")
	}
	checkAccounts(t, s)
}

// touch checks that n hugepages from first on read as zero, and writes the hugepage's number in each.
func touch(t testing.TB, s *Space, first units.HugePageID, n uintptr) {
	t.Helper()
	for h := first; h < first+units.HugePageID(n); h++ {
		a := s.Addr(h.Page())
		if sys.Load64(a) != 0 || sys.Load64(a+huge-8) != 0 {
			t.Fatalf("hugepage %d was not zero", h)
		}
		sys.Store64(a, uint64(h)+1)
	}
}

func TestGrowIsContiguousZeroedAndAccounted(t *testing.T) {
	s := newSpace(t, 2)
	next := units.HugePageID(0)
	for _, n := range []uintptr{1, 1, 3, 1, 7, 2, 20, 1} {
		first, ok := s.Grow(n)
		if !ok || first != next {
			t.Fatalf("Grow(%d) = %d, %v; want %d", n, first, ok, next)
		}
		touch(t, s, first, n)
		next += units.HugePageID(n)
		if s.Grown() != uintptr(next)*huge || s.MappedBytes() != s.Grown() {
			t.Errorf("%d hugepages: grown %d, mapped %d bytes", next, s.Grown(), s.MappedBytes())
		}
		checkAccounts(t, s)
	}
	for h := range next {
		if sys.Load64(s.Addr(h.Page())) != uint64(h)+1 {
			t.Errorf("hugepage %d lost its contents", h)
		}
	}
}

func TestGrowMapsAheadInProportion(t *testing.T) {
	s := newSpace(t, 2)
	for range 200 {
		if _, ok := s.Grow(1); !ok {
			t.Fatal("refused")
		}
		if s.SpareBytes() > max(growMin, s.Grown()/4) {
			t.Fatalf("%d bytes ahead of %d", s.SpareBytes(), s.Grown())
		}
	}
}

func TestAddressesAndPagesCorrespond(t *testing.T) {
	s := newSpace(t, 3)
	if s.Contains(s.Base()) || s.Contains(0) || s.Contains(^uintptr(0)) {
		t.Error("an empty window contains something")
	}
	s.Grow(3)
	end := s.Base() + 3*huge
	if !s.Contains(s.Base()) || !s.Contains(end-1) || s.Contains(end) || s.Contains(s.Base()-1) {
		t.Error("the window's bounds are wrong")
	}
	for _, p := range []units.PageID{0, 1, 255, 256, 767, units.PageID(s.MaxPages()) - 1} {
		if a := s.Addr(p); s.Page(a) != p || s.Page(a+units.PageSize-1) != p {
			t.Errorf("page %d is at %#x, where page %d is", p, a, s.Page(a))
		}
	}
}

func TestGrowGoesOnBehindAForeignMapping(t *testing.T) {
	for _, spare := range []bool{false, true} {
		t.Run(fmt.Sprint("spare ", spare), func(t *testing.T) {
			s := newSpace(t, 4)
			a, ok := s.Grow(1)
			if !ok {
				t.Fatal("refused")
			}
			touch(t, s, a, 1)
			if !spare {
				n := s.SpareBytes() / huge
				b, _ := s.Grow(n)
				touch(t, s, b, n)
			}
			if (s.SpareBytes() > 0) != spare {
				t.Fatalf("%d bytes ahead", s.SpareBytes())
			}
			before := units.HugePageID(s.Grown() / huge)
			mapped := s.MappedBytes()
			wall := s.Base() + s.Grown() + s.SpareBytes()
			foreign(t, wall, 64<<10)

			first, ok := s.Grow(40)
			if !ok {
				t.Fatal("the mapping in the way stopped growth")
			}
			if s.Addr(first.Page()) < wall {
				t.Errorf("hugepages %d.. at %#x overlap the mapping at %#x", first, s.Addr(first.Page()), wall)
			}
			touch(t, s, first, 40)
			if s.MappedBytes() != mapped+40*huge {
				t.Errorf("%d bytes mapped, want %d", s.MappedBytes(), mapped+40*huge)
			}
			next, ok := s.Grow(1)
			if !ok || next != first+40 {
				t.Errorf("after the gap: %d, want %d", next, first+40)
			}
			touch(t, s, next, 1)
			intact(t, wall)
			for h := range before {
				if sys.Load64(s.Addr(h.Page())) != uint64(h)+1 {
					t.Errorf("hugepage %d lost its contents", h)
				}
			}
			if got := mappedIn(t, s.base, s.base+s.size); got != s.MappedBytes()+s.SpareBytes()+64<<10 {
				t.Errorf("%d + %d bytes counted, %d mapped beside the foreign mapping", s.MappedBytes(), s.SpareBytes(), got-64<<10)
			}
		})
	}
}

// A smaller request may still fit in front of the wall, in what is mapped already.
func TestGrowUsesItsSpareBeforeAForeignMapping(t *testing.T) {
	s := newSpace(t, 5)
	s.Grow(1)
	n := s.SpareBytes() / huge
	wall := s.Base() + s.Grown() + s.SpareBytes()
	foreign(t, wall, 4096)
	for i := range n {
		if h, ok := s.Grow(1); !ok || h != units.HugePageID(1+i) {
			t.Fatalf("hugepage %d, want %d", h, 1+i)
		}
	}
	intact(t, wall)
}

func TestGrowRefusesMoreThanTheWindowAndStaysUsable(t *testing.T) {
	s := newSpace(t, 6)
	s.Grow(1)
	window := uintptr(s.MaxPages()) / units.PagesPerHuge
	before := *s
	for _, n := range []uintptr{window, window + 1, 1 << 43, ^uintptr(0) >> units.HugePageShift, ^uintptr(0)} {
		if first, ok := s.Grow(n); ok || first != units.NoHuge {
			t.Errorf("Grow(%d) = %d, %v", n, first, ok)
		}
		if *s != before {
			t.Errorf("Grow(%d) failed and left %+v, was %+v", n, *s, before)
		}
	}
	if _, ok := s.Grow(1); !ok {
		t.Error("no growth after refusals")
	}
	checkAccounts(t, s)
}

func TestGrowFillsTheWindowToItsEnd(t *testing.T) {
	s := newSpace(t, 7)
	// Only addresses are used: skip most of the window by a gap that nothing is mapped in.
	s.grown = s.size - 3*huge
	first, ok := s.Grow(2)
	if !ok {
		t.Fatal("refused two of three")
	}
	touch(t, s, first, 2)
	if _, ok := s.Grow(2); ok {
		t.Fatal("two came out of one")
	}
	last, ok := s.Grow(1)
	if !ok || uintptr(last) != s.size/huge-1 {
		t.Fatalf("the last hugepage is %d, %v", last, ok)
	}
	touch(t, s, last, 1)
	if _, ok := s.Grow(1); ok {
		t.Error("growth beyond the window")
	}
	checkAccounts(t, s)
}

func TestReleasedMemoryReadsZeroAndTheRestIsKept(t *testing.T) {
	s := newSpace(t, 8)
	s.Grow(4)
	a, end := s.Base(), s.Base()+4*huge
	for at := a; at < end; at += 4096 {
		sys.Store64(at, uint64(at))
	}
	from, to := a+huge/2, a+3*huge+huge/2
	if !Release(from, to-from) {
		t.Fatal("refused")
	}
	for at := a; at < end; at += 4096 {
		want := uint64(at)
		if at >= from && at < to {
			want = 0
		}
		if got := sys.Load64(at); got != want {
			t.Fatalf("%#x at offset %#x, want %#x", got, at-a, want)
		}
	}
	if Release(end+1<<38, huge) {
		t.Error("memory that is not mapped was released")
	}
}

func TestFreeUnmapsEverything(t *testing.T) {
	s := newSpace(t, 9)
	start, end := s.base-s.size/metaFraction, s.base+s.size+probeSize
	s.Grow(9)
	table := s.NewTable(1 << 30)
	table.Ensure(s, 1<<20)
	s.MapTablePart(table.Base()+512<<20, 64<<10)
	s.Free()
	if n := mappedIn(t, start, end); n != 0 {
		t.Errorf("%d bytes are still mapped", n)
	}
	if again := newSpace(t, 9); again.Base() != start+again.size/metaFraction {
		t.Error("the range can't be had again")
	}
}

func TestAddressSpaceLimitFailsCleanly(t *testing.T) { runUnderLimit(t) }

// underLimit runs in a child process.
func underLimit() error {
	const headroom = 96 << 20
	if err := limitAddressSpace(headroom); err != nil {
		return err
	}
	s := new(Space)
	if !s.Init(1) {
		return errors.New("no address range: a window costs no address space until it is used")
	}
	if s.size != windowSize {
		return fmt.Errorf("a window of %d bytes", s.size)
	}
	table := s.NewTable(1 << 40)
	before, beforeTable := *s, table
	if _, ok := s.Grow(headroom / huge); ok || *s != before {
		return fmt.Errorf("growth by all there is: %v, %+v", ok, *s)
	}
	if table.Ensure(s, headroom) || table != beforeTable || *s != before {
		return fmt.Errorf("a table of all there is: %+v", table)
	}
	next := units.HugePageID(0)
	for _, n := range []uintptr{20, 1} {
		first, ok := s.Grow(n)
		if !ok || first != next {
			return fmt.Errorf("after a refusal Grow(%d) = %d, %v, want %d", n, first, ok, next)
		}
		sys.Store64(s.Addr(first.Page()), 1)
		next = first + units.HugePageID(n)
	}
	if !table.Ensure(s, 1<<20) || table.Mapped() < 1<<20 {
		return errors.New("a small table was refused")
	}
	sys.Store64(table.Base()+1<<20-8, 1)
	got := 0
	for ; got < 1000; got++ {
		first, ok := s.Grow(1)
		if !ok {
			break
		}
		if first != next {
			return fmt.Errorf("hugepage %d, want %d: growth left a gap with nothing in its way", first, next)
		}
		next++
		sys.Store64(s.Addr(first.Page()), 1)
	}
	if got == 1000 || got < 5 {
		return fmt.Errorf("%d hugepages came out of the rest", got)
	}
	return nil
}
