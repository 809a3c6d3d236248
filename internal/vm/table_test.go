package vm

import (
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

func TestTablesDoNotOverlapAndLieBeforeTheWindow(t *testing.T) {
	s := newSpace(t, 1)
	boot, n := s.Boot()
	end := boot + n
	for _, max := range []uintptr{1, 4096, tableAlign, tableAlign + 1, 1 << 30, 128 << 20, 3} {
		table := s.NewTable(max)
		if table.Base() < end || table.Base()%tableAlign != 0 || table.Mapped() != 0 {
			t.Errorf("table of %d bytes at %#x, the one before ends at %#x", max, table.Base(), end)
		}
		end = table.Base() + max
	}
	if end > s.Base() {
		t.Error("tables reach into the window")
	}
	checkAccounts(t, s)
}

func TestEnsureGrowsInPlaceKeepsContentsAndIsZero(t *testing.T) {
	s := newSpace(t, 2)
	const max = 40 << 20
	table := s.NewTable(max)
	base := table.Base()
	written := uintptr(0)
	for _, n := range []uintptr{0, 1, 1, 4096, 64 << 10, 64<<10 + 1, 100, 1 << 20, 5<<20 + 77, 30 << 20, max - 1, max} {
		mapped := table.Mapped()
		if !table.Ensure(s, n) {
			t.Fatalf("refused %d bytes", n)
		}
		if table.Mapped() < n || table.Mapped() < mapped || table.Mapped() > max || table.Base() != base {
			t.Fatalf("%d bytes asked for, %+v", n, table)
		}
		if n <= mapped && table.Mapped() != mapped {
			t.Errorf("%d bytes were there, yet the table grew", n)
		}
		for ; written < table.Mapped(); written += 4096 {
			if sys.Load64(base+written) != 0 {
				t.Fatalf("not zero at %d", written)
			}
			sys.Store64(base+written, uint64(written)+1)
		}
		checkAccounts(t, s)
	}
	for at := uintptr(0); at < written; at += 4096 {
		if sys.Load64(base+at) != uint64(at)+1 {
			t.Fatalf("contents lost at %d", at)
		}
	}
}

func TestEnsureFailsBeyondTheMaximumAndLeavesTheTable(t *testing.T) {
	s := newSpace(t, 3)
	table := s.NewTable(tableAlign)
	table.Ensure(s, 100)
	before := table
	for _, n := range []uintptr{tableAlign + 1, 1 << 40, ^uintptr(0)} {
		if table.Ensure(s, n) || table != before {
			t.Errorf("Ensure(%d): %+v", n, table)
		}
	}
	if !table.Ensure(s, tableAlign) || table.Mapped() != tableAlign {
		t.Error("the maximum itself was refused")
	}
}

func TestEnsureStopsAtAForeignMapping(t *testing.T) {
	s := newSpace(t, 4)
	table := s.NewTable(1 << 30)
	table.Ensure(s, 1)
	wall := table.Base() + table.Mapped() + 128<<10
	foreign(t, wall, 4096)
	if !table.Ensure(s, wall-table.Base()) {
		t.Error("what is in front of the mapping was refused")
	}
	before := table
	if table.Ensure(s, wall-table.Base()+1) || table != before {
		t.Error("the table grew over a foreign mapping")
	}
	intact(t, wall)
}

func TestMapTablePartMapsOnce(t *testing.T) {
	s := newSpace(t, 5)
	table := s.NewTable(1 << 30)
	meta := s.MetaBytes()
	a := table.Base() + 64<<20
	if !s.MapTablePart(a, 32<<10) || sys.Load64(a) != 0 {
		t.Fatal("refused")
	}
	sys.Store64(a, 7)
	if s.MapTablePart(a, 32<<10) || s.MapTablePart(a-4096, 8192) {
		t.Error("mapped twice")
	}
	if sys.Load64(a) != 7 || s.MetaBytes() != meta+32<<10 {
		t.Errorf("contents %d, %d bytes more", sys.Load64(a), s.MetaBytes()-meta)
	}
	checkAccounts(t, s)
}
