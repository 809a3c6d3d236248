package heap

import (
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// allocPages takes n pages aligned to align pages as one large object, from the page heap of the node that runs the
// caller; when that has no memory, from another's. Preconditions: the caller is inside.
func (h *Heap) allocPages(n, align units.Pages, hint pageheap.Hint) (id units.SpanID, zeroed bool) {
	pages := h.pages()
	at := h.Front.Transfer.Node()
	if at == 0 {
		return pages.AllocHinted(n, max(align, 1), hint)
	}
	several := pages.Nodes()
	for i := uint32(0); i < several && id == 0; i++ {
		id, zeroed = pages.Node((at-1+i)%several).AllocHinted(n, max(align, 1), hint)
	}
	return id, zeroed
}

// allocRoomy is allocPages, without an alignment and a hint, where an object finds room to grow.
func (h *Heap) allocRoomy(n units.Pages) (id units.SpanID) {
	pages := h.pages()
	at := h.Front.Transfer.Node()
	if at == 0 {
		id, _ = pages.AllocRoomy(n)
		return id
	}
	several := pages.Nodes()
	for i := uint32(0); i < several && id == 0; i++ {
		id, _ = pages.Node((at - 1 + i) % several).AllocRoomy(n)
	}
	return id
}

// sameNode reports whether objects p and q are of one node, or of none.
func (h *Heap) sameNode(p, q uintptr) bool {
	pages := h.pages()
	return pages.Nodes() < 2 || !pages.Contains(p) || !pages.Contains(q) || pages.NodeAt(p) == pages.NodeAt(q)
}
