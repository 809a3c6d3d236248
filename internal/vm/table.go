package vm

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// Table is a metadata table that grows in place: its slice of the address space is chosen for the largest
// size it may ever need, and mapped from the front as it fills. Memory is zeroed and never returned. The
// owner serialises Ensure; readers of what is already mapped need no lock.
type Table struct {
	base   uintptr
	mapped uintptr // bytes
	max    uintptr // bytes
}

const (
	tableStepMin = 64 << 10 // bytes: a system call's cost against touched-page waste (none: untouched is free)
	tableStepMax = 16 << 20
	tableAlign   = 2 << 20
)

// NewTable chooses addresses for a table of at most max bytes.
func (s *Space) NewTable(max uintptr) Table {
	max = (max + tableAlign - 1) &^ (tableAlign - 1)
	t := Table{base: (s.slice + tableAlign - 1) &^ (tableAlign - 1), max: max}
	s.slice = t.base + max
	return t
}

// Base is the table's address.
func (t *Table) Base() uintptr { return t.base }

// Mapped is how many bytes of the table can be used.
func (t *Table) Mapped() uintptr { return t.mapped }

// Ensure maps at least the first n bytes of the table. It reports false when the system refuses; the table
// is then as it was.
func (t *Table) Ensure(s *Space, n uintptr) bool {
	if n <= t.mapped {
		return true
	}
	return t.extend(s, n)
}

func (t *Table) extend(s *Space, n uintptr) bool {
	if n > t.max {
		return false
	}
	step := min(max(t.mapped, tableStepMin), tableStepMax, t.max-t.mapped)
	if t.mapped+step >= n && t.mapAt(s, step) {
		return true
	}
	need := min((n-t.mapped+tableStepMin-1)&^(tableStepMin-1), t.max-t.mapped)
	return t.mapAt(s, need)
}

func (t *Table) mapAt(s *Space, n uintptr) bool {
	a := t.base + t.mapped
	got, e := sys.Mmap(a, n, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapNoReserve|sys.MapFixedNoReplace)
	if e != 0 {
		return false
	}
	if got != a {
		sys.Munmap(got, n)
		return false
	}
	s.name(a, n, "vcmalloc metadata\x00")
	t.mapped += n
	atomic.AddUintptr(&s.meta, n)
	return true
}

// MapTablePart maps n bytes at address a inside a table's range, for tables that fill in no order. It
// reports false when the system refuses or something is mapped there.
func (s *Space) MapTablePart(a, n uintptr) bool {
	t := Table{base: a, max: n}
	return t.mapAt(s, n)
}
