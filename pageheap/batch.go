package pageheap

import (
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Spans of few objects come and go with batches of objects, several at a time. What they cost each then is their entry in
// the page map and in the span table; the locks, the search for a hugepage and the books are paid once for a row of
// them.

// MaxBatch is how many spans AllocBatch makes at most: it bounds arrays on callers' stacks.
const MaxBatch = 16

// AllocBatch hands out up to len(ids) spans for objects of class c, whose numbers it writes to ids, and returns how many.
// All but the first lie in hugepages that are in use already. Bit i of zeroed tells that the pages of ids[i] are known to
// read as zero. 0 means out of memory. Preconditions: c != 0, 0 < len(ids) <= MaxBatch.
func (h *Heap) AllocBatch(c units.ClassID, ids []units.SpanID) (n int, zeroed uint32) {
	k := sizeclass.Of(c)
	id, zero := h.Alloc(units.Pages(k.Pages), c, k.Objects)
	if id == 0 {
		return 0, 0
	}
	ids[0] = id
	if zero {
		zeroed = 1
	}
	if len(ids) == 1 {
		return 1, zeroed
	}
	more, bits := h.allocMore(c, k, ids[1:])
	return 1 + more, zeroed | bits<<1
}

// allocMore is AllocBatch from hugepages that are in use. Where memory is limited or hugepages were made small for cold
// objects it may return none, though there are pages: Alloc knows what is to be done then.
func (h *Heap) allocMore(c units.ClassID, k *sizeclass.Class, ids []units.SpanID) (n int, zeroed uint32) {
	var firsts [MaxBatch]units.PageID
	r, pages := h.root(), uint32(k.Pages)
	ids = ids[:r.spans.NewAll(&r.space, &r.growMu, ids)]
	h.mu.Lock()
	apart, also := h.setsFor(setOf(k.Objects))
	room := uint64(len(ids)) * uint64(pages)
	if h.chilled.n == 0 && h.backedPages()+room <= h.limits.soft {
		for n < len(ids) {
			first, got, zero := h.filler.getRow(pages, uint32(len(ids)-n), apart)
			if got == 0 && also != apart {
				first, got, zero = h.filler.getRow(pages, uint32(len(ids)-n), also)
			}
			if got == 0 {
				break
			}
			for i := uint32(0); i < got; i++ {
				firsts[n&(MaxBatch-1)] = first + units.PageID(i*pages)
				if zero {
					zeroed |= 1 << n
				}
				n++
			}
		}
		h.allocated += uint64(n)
		h.small += uint64(n) * uint64(pages)
		h.hinted[HintNone] += uint64(n) * uint64(pages)
		h.note()
	}
	h.mu.Unlock()
	if n < len(ids) {
		r.spans.DeleteAll(ids[n:])
	}
	for i, id := range ids[:n] {
		h.spans.At(id).Init(firsts[i&(MaxBatch-1)], units.Pages(pages), c)
		h.pages.Set(firsts[i&(MaxBatch-1)], units.Pages(pages), c, id)
	}
	return n, zeroed
}

// Free takes a span of any node back. Preconditions: id is a live span, and the caller its only user.
func (h *Heap) Free(id units.SpanID) {
	ids := [1]units.SpanID{id}
	h.of(id).FreeBatch(ids[:])
}

// FreeBatch takes spans of this heap's node back under one acquisition of the lock. Preconditions: those of Free; all
// differ.
func (h *Heap) FreeBatch(ids []units.SpanID) {
	for _, id := range ids {
		s := h.spans.At(id)
		if hidden(s) {
			h.pages.SetHidden(s.First, s.Pages, 0)
		} else {
			h.pages.Clear(s.First, s.Pages, s.Class)
		}
	}
	limbo := uint32(0)
	h.mu.Lock()
	for i := 0; i < len(ids); {
		s := h.spans.At(ids[i])
		first, n, allocs := s.First, uint32(s.Pages), uint16(0)
		for {
			*h.inSpans(s.Class) -= uint64(s.Pages)
			h.hinted[s.Hint%Hints] -= uint64(s.Pages)
			allocs++
			if i++; i == len(ids) {
				break
			}
			s = h.spans.At(ids[i])
			if !joins(&first, &n, s.First, uint32(s.Pages)) {
				break
			}
		}
		limbo = h.give(first, n, allocs, limbo)
	}
	h.freed += uint64(len(ids))
	h.note()
	kept := len(ids) == 1 && h.keepID(ids[0])
	h.mu.Unlock()
	if !kept {
		h.root().spans.DeleteAll(ids)
	}
	h.releaseLimbo(limbo)
}

// joins reports whether m pages from next on lie beside the n from first on, in one hugepage that they do not fill; then it
// adds them.
func joins(first *units.PageID, n *uint32, next units.PageID, m uint32) bool {
	low := min(*first, next)
	if uint32(low)%perHuge+*n+m > perHuge || *n+m == perHuge {
		return false
	}
	if *first+units.PageID(*n) != next && next+units.PageID(m) != *first {
		return false
	}
	*first, *n = low, *n+m
	return true
}
