package heap

import (
	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// Objects with a hint (paper section 5.5). Large ones differ in the hugepages they are given only. Small ones share
// spans with their like, of one class and one hint, and those spans share hugepages by hint. They pass the caches by,
// which know one kind of object a class: an allocation and a free take the lock of a central free list each. The fast
// paths pay nothing for them, because the page map does not tell their class: to a fast path they look large, and it
// leaves them to the slow one.

// Hinted returns size bytes aligned to align, a power of two, for a caller who knows something of the object's future,
// or 0 when memory is short. zeroed says that they are known to read as zero. Without a hint, or where no memory can be
// had that way, the object is as any other. Free, FreeOn, FreeSized, Realloc and Usable take it as they take others;
// FreeChecked does not, and a door that keeps freed objects at hand must keep them apart by Hint.
func (h *Heap) Hinted(size, align units.Bytes, hint pageheap.Hint) (p uintptr, zeroed bool) {
	if size > maxRequest || align > maxRequest {
		return 0, false
	}
	c := sizeclass.ForAligned(size, max(align, 1))
	if hint == pageheap.HintNone {
		return h.unhinted(size, align, c)
	}
	g := h.enter()
	if g < 0 {
		return h.unhinted(size, align, c)
	}
	if c != 0 {
		p = h.smallHinted(c, hint)
	} else {
		var id units.SpanID
		if id, zeroed = h.allocPages(max(units.PagesFor(size), 1), units.PagesFor(align), hint); id != 0 {
			p = h.pages().Addr(id)
		}
	}
	h.leave(g)
	if p == 0 {
		return h.unhinted(size, align, c)
	}
	if c != 0 {
		zeroed = size > sizeclass.SoleAbove && sys.Load64(p) == 0
		unmark(p)
	}
	return p, zeroed
}

func (h *Heap) unhinted(size, align units.Bytes, c units.ClassID) (p uintptr, zeroed bool) {
	if c == 0 {
		return h.Large(size, align)
	}
	p, zeroed = h.allocClass(c, true)
	return p, zeroed && size > sizeclass.SoleAbove
}

// smallHinted takes an object of class c from the caller's node; when that has no memory, from another's.
// Preconditions: the caller is inside.
func (h *Heap) smallHinted(c units.ClassID, hint pageheap.Hint) uintptr {
	t := &h.Front.Transfer.Central
	first, several := h.Front.Transfer.Node(), h.pages().Nodes()
	if first != 0 {
		first--
	}
	for i := range several {
		var one [1]uintptr
		pool := centralfreelist.PoolOf((first+i)%several, hint)
		if t.OpenHinted(pool) && t.Remove(pool, c, one[:], 1, 0) == 1 {
			return one[0]
		}
	}
	return 0
}

// freeHinted gives small object p back to its span. It returns p if that says it was not out, or 0. Preconditions: the
// caller is inside.
func (h *Heap) freeHinted(o *object, p uintptr) (bad uintptr) {
	one := [1]uintptr{p}
	return h.Front.Transfer.Central.Insert(centralfreelist.PoolOf(h.pages().NodeAt(p), o.hint), o.class, one[:], 0)
}

// Hint is what was said of the object at p: HintNone for one without a hint, and for what is no object.
func (h *Heap) Hint(p uintptr) pageheap.Hint {
	var o object
	h.find(p, &o)
	if o.kind == small || o.kind == large {
		return o.hint
	}
	return pageheap.HintNone
}
