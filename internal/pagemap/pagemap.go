// Package pagemap tells what lies on a page: its size class (one byte a page, all that free() reads) and its
// span (four bytes a page). Both are flat tables indexed by page number, mapped as far as the window has
// grown: 5 bytes for 8 KiB, 0.06 %.
//
// A small span registers class and span on all its pages. A large span has class 0 and registers its span on
// its first page only, so a terabyte object costs one store. A small span of hinted objects is hidden: class 0, and the
// span on all its pages. A page of neither has class 0 and span 0.
//
// Invariants: an entry of a live object does not change, so readers that hold an object need no lock; the
// page heap writes entries before the first object of a span is handed out and clears them before the
// pages can be handed out again. Ensure runs under the page heap's lock.
package pagemap

import (
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// Map is one heap's page map. The zero value maps nothing; call Init.
type Map struct {
	class vm.Table
	span  vm.Table
}

// lead is how many bytes of each table come before page 0's entry. Processors that compare the low 12 bits of addresses
// first take a load for one of what was just stored 4 KiB away, and make it wait. In tables that began with a page the
// entries of the first pages had the low bits of their first objects, which a malloc has just written when free looks
// there, and the next ones those of a slab's headers (percpu). Objects rarely begin 8 bytes beyond the middle of a page.
const lead = 2048 + 8

// Init chooses the tables' addresses for a window of at most pages pages.
func (m *Map) Init(s *vm.Space) {
	m.class = s.NewTable(lead + uintptr(s.MaxPages()))
	m.span = s.NewTable(lead + uintptr(s.MaxPages())*4)
}

// Ensure makes entries for the first n pages usable; false when the system has no memory for them.
func (m *Map) Ensure(s *vm.Space, n units.Pages) bool {
	return m.class.Ensure(s, lead+uintptr(n)) && m.span.Ensure(s, lead+uintptr(n)*4)
}

// ClassTable and SpanTable are the addresses of the two tables, for fast paths written in assembly.
func (m *Map) ClassTable() uintptr { return m.class.Base() + lead }
func (m *Map) SpanTable() uintptr  { return m.span.Base() + lead }

// Class is the size class of the objects on page p; 0 for none. Preconditions: p lies below what Ensure
// covered, which every page below the window's Grown does.
func (m *Map) Class(p units.PageID) units.ClassID {
	return units.ClassID(sys.Byte(m.ClassTable() + uintptr(p)))
}

// Span is the span registered on page p, or 0.
func (m *Map) Span(p units.PageID) units.SpanID {
	return *m.spanAt(p)
}

// Set registers a span on its pages, as the package comment says.
func (m *Map) Set(first units.PageID, n units.Pages, c units.ClassID, id units.SpanID) {
	if c == 0 {
		n = 1
	}
	for p := first; p < first+units.PageID(n); p++ {
		*m.classAt(p) = c
		*m.spanAt(p) = id
	}
}

// SetHidden registers a small span on its pages without their class, which reads 0: a fast path takes its objects for
// large ones and leaves them to the slow path, which asks the span. id 0 undoes it.
func (m *Map) SetHidden(first units.PageID, n units.Pages, id units.SpanID) {
	for p := first; p < first+units.PageID(n); p++ {
		*m.spanAt(p) = id
	}
}

// Clear undoes Set.
func (m *Map) Clear(first units.PageID, n units.Pages, c units.ClassID) {
	m.Set(first, n, c, 0)
	m.clearClass(first, n, c)
}

func (m *Map) clearClass(first units.PageID, n units.Pages, c units.ClassID) {
	if c != 0 {
		sys.Zero(m.ClassTable()+uintptr(first), uintptr(n))
	}
}

func (m *Map) classAt(p units.PageID) *units.ClassID {
	return (*units.ClassID)(sys.At(m.ClassTable() + uintptr(p)))
}

func (m *Map) spanAt(p units.PageID) *units.SpanID {
	return (*units.SpanID)(sys.At(m.SpanTable() + uintptr(p)*4))
}
