package pageheap

import (
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// The tiers above keep their tables in the heap's address range too, and account for them here.

// NewEmptyTable chooses addresses for a table of at most max bytes and maps none of it. It reports false when
// the range is used up. Call it while the heap is being initialised.
func (h *Heap) NewEmptyTable(t *vm.Table, max units.Bytes) bool {
	h.growMu.Lock()
	*t = h.space.NewTable(max)
	h.growMu.Unlock()
	return t.Base()+max <= h.space.Base()
}

// NewMappedTable is NewEmptyTable with all of it mapped, zeroed and untouched.
func (h *Heap) NewMappedTable(t *vm.Table, n units.Bytes) bool {
	if !h.NewEmptyTable(t, n) {
		return false
	}
	h.growMu.Lock()
	ok := t.Ensure(&h.space, n)
	h.growMu.Unlock()
	return ok
}

// MapMetadata maps n bytes at address a, which lies in a table's range. It reports false when the system refuses, and
// when something is mapped there: the caller remembers what he has.
func (h *Heap) MapMetadata(a, n units.Bytes) bool {
	h.growMu.Lock()
	ok := h.space.MapTablePart(a, n)
	h.growMu.Unlock()
	return ok
}

// Contains reports whether p lies in the part of the window that pages have been handed out from. It needs no
// lock: the part only grows.
func (h *Heap) Contains(p uintptr) bool { return h.space.Contains(p) }

// ClassAt is the size class of the object p lies in, or 0; SpanAt is the span registered on p's page, which
// for a large span is the first page only. Preconditions: Contains(p).
func (h *Heap) ClassAt(p uintptr) units.ClassID { return h.pages.Class(h.space.Page(p)) }

// SpanAt is described at ClassAt.
func (h *Heap) SpanAt(p uintptr) units.SpanID { return h.pages.Span(h.space.Page(p)) }

// Addresses are what a fast path written in assembly needs to look a pointer up.
type Addresses struct {
	Base, Grown      uintptr // of the window: its address, and the bytes handed out so far
	Classes, SpanIDs uintptr // by page: one byte, four bytes
	Spans            uintptr // by span id: 64 bytes, the first page's number at offset 0
}

// Addresses is read without a lock: all but Grown are constant, and Grown only grows.
func (h *Heap) Addresses(a *Addresses) {
	*a = Addresses{Base: h.space.Base(), Grown: h.space.Grown(), Classes: h.pages.ClassTable(), SpanIDs: h.pages.SpanTable(), Spans: h.spans.Base()}
}

// Grown is how many bytes of the window have been handed out so far.
func (h *Heap) Grown() uintptr { return h.space.Grown() }
