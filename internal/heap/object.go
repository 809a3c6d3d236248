package heap

import (
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

// find looks p up. It reads tables that do not change while p's object lives, so it takes no lock.
func (h *Heap) find(p uintptr) object {
	pages := h.pages()
	if !pages.Contains(p) {
		return object{kind: foreign}
	}
	if c := pages.ClassAt(p); c != 0 {
		return h.inSpan(p, c, pages.SpanAt(p))
	}
	if id := pages.SpanAt(p); id != 0 {
		s := pages.Span(id)
		if s.Class != 0 { // hidden, see pagemap
			o := h.inSpan(p, s.Class, id)
			o.hint = pageheap.Hint(s.Hint)
			return o
		}
		if p&(units.PageSize-1) == 0 {
			return object{kind: large, hint: pageheap.Hint(s.Hint), span: id, size: units.Bytes(s.Pages) << units.PageShift}
		}
	}
	if id := pages.SpanOf(p); id != 0 {
		s := pages.Span(id)
		return object{kind: interior, span: id, size: units.Bytes(s.Pages) << units.PageShift, start: pages.Addr(id)}
	}
	return object{kind: unused}
}

// inSpan is what p is in a span of small objects.
func (h *Heap) inSpan(p uintptr, c units.ClassID, id units.SpanID) object {
	base := h.pages().Addr(id)
	o := object{kind: small, class: c, span: id, size: sizeclass.Size(c)}
	if off := p - base; !sizeclass.Divides(c, off) {
		i := sizeclass.Index(c, off)
		if i >= sizeclass.Objects(c) {
			return object{kind: unused} // the span's tail
		}
		o.kind = interior
		o.start = base + uintptr(i)*sizeclass.Size(c)
	}
	return o
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

// examine is find, for a pointer about to be freed or resized: a small object that is free already is found out.
func (h *Heap) examine(p uintptr) object {
	o := h.find(p)
	if o.kind == small && h.isMarked(p) && h.isFree(&o, p) {
		o.kind = freed
	}
	return o
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
