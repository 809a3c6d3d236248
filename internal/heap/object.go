package heap

import (
	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// kind is what a pointer turned out to be.
type kind uint8

const (
	foreign  kind = iota // outside the heap
	unused               // on a page that holds no object
	interior             // inside an object, not at its start
	freed                // an object that is free
	small                // an object of a size class
	large                // an object of whole pages
)

// object is what the metadata says of a pointer.
type object struct {
	kind  kind
	class units.ClassID
	hint  pageheap.Hint // of its span; a small object with one is in no cache
	span  units.SpanID
	size  units.Bytes // usable
	start uintptr     // of the object that an interior pointer points into
}

// find looks p up and fills in o. It reads tables that do not change while p's object lives, so it takes no lock. (An
// object by value would be copied 16 bytes at a time just after its fields were stored one by one, which the processor
// can't forward: a tenth of a free of 1 MiB.)
func (h *Heap) find(p uintptr, o *object) {
	*o = object{kind: foreign}
	pages := h.pages()
	if !pages.Contains(p) {
		return
	}
	o.kind = unused
	if c := pages.ClassAt(p); c != 0 {
		h.inSpan(p, c, pages.SpanAt(p), o)
		return
	}
	if id := pages.SpanAt(p); id != 0 {
		s := pages.Span(id)
		if s.Class != 0 { // hidden, see pagemap
			h.inSpan(p, s.Class, id, o)
			o.hint = pageheap.Hint(s.Hint)
			return
		}
		if p&(units.PageSize-1) == 0 {
			o.kind, o.hint, o.span, o.size = large, pageheap.Hint(s.Hint), id, units.Bytes(s.Pages)<<units.PageShift
			return
		}
	}
	if id := pages.SpanOf(p); id != 0 {
		s := pages.Span(id)
		o.kind, o.span, o.size, o.start = interior, id, units.Bytes(s.Pages)<<units.PageShift, pages.Addr(id)
	}
}

// inSpan fills in what p is in a span of small objects; nothing, if p lies in the span's tail.
func (h *Heap) inSpan(p uintptr, c units.ClassID, id units.SpanID, o *object) {
	base := h.pages().Addr(id)
	k := small
	if off := p - base; !sizeclass.Divides(c, off) {
		i := sizeclass.Index(c, off)
		if i >= sizeclass.Objects(c) {
			return
		}
		k = interior
		o.start = base + uintptr(i)*sizeclass.Size(c)
	}
	o.kind, o.class, o.span, o.size = k, c, id, sizeclass.Size(c)
}

// A freed small object carries the heap's mark in its first word, so that a second free can be suspected by one
// compare. The word is cleared when the object is handed out again. A program may store that very value, or
// write to memory it has freed: so a mark alone proves nothing, and isFree looks for the object in every cache
// before anything is said. Only the upper half is compared: a load wider than the program's last store to the
// word would have to wait until that store has left the core's store buffer, 4 cycles and more a free.

// newMark chooses the mark of a heap: a random 32-bit number, twice, so that one register holds what is stored
// and what is compared. Its upper 16 bits are those of no pointer and of no small number.
func newMark(seed uint64) uint64 {
	r := uint64(uint32((seed^seed>>32)*0x9e3779b97f4a7c15>>32))&0x5fff_ffff | 0x8000_0000 | 1<<20
	return r<<32 | r
}

// Mark is the word that free small objects begin with.
func (h *Heap) Mark() uint64 { return h.marker }

func (h *Heap) mark(p uintptr)          { sys.Store64(p, h.marker) }
func unmark(p uintptr)                  { sys.Store64(p, 0) }
func (h *Heap) isMarked(p uintptr) bool { return sys.Load32(p+4) == uint32(h.marker) }

// examine is find, for a pointer about to be freed or resized: a small object that is free already is found out. Where
// VCMALLOC_CHECK asks for all that can be found, also one whose mark was written over.
func (h *Heap) examine(p uintptr, o *object) {
	h.find(p, o)
	if o.kind == small && (h.checking != config.CheckDefault || h.isMarked(p)) && h.isFree(o, p) {
		o.kind = freed
	}
}

// isFree searches all tiers for small object p. If it is found it is free for certain: an object in
// somebody's hands is in no cache. An object on its way between tiers may be missed, so it looks twice.
func (h *Heap) isFree(o *object, p uintptr) bool {
	g := h.enter()
	if g < 0 {
		return false
	}
	found := false
	for try := 0; try < 2 && !found; try++ {
		t := &h.Front.Transfer
		found = h.Front.Holds(o.class, p) || t.Holds(o.class, p) || t.Central.IsFree(o.class, o.span, p)
	}
	h.leave(g)
	return found
}
