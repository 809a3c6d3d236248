package pageheap

import (
	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// tally is what Check finds in the structures, to be compared with the counters.
type tally struct {
	small, large     uint64 // pages
	hinted           [Hints]uint64
	fillerFree       uint64
	fillerReleased   uint64
	backed, unbacked uint32 // hugepages
	filler, whole    uint32
	region, busy     uint32
	empty            uint32
	regionUsed       uint64
	spans            uint32
}

// span counts a span where it begins.
func (n *tally) span(s *span.Span) {
	n.spans++
	n.hinted[s.Hint%Hints] += uint64(s.Pages)
	if s.Class != 0 {
		n.small += uint64(s.Pages)
	} else {
		n.large += uint64(s.Pages)
	}
}

// Check walks all structures and returns the first violated invariant of the package comment, or "". No
// other method may run meanwhile: spans are registered, and memory released, without the lock.
func (h *Heap) Check() (defect string) {
	r := h.root()
	r.growMu.Lock()
	mapped := units.Bytes(0)
	for i := range r.Nodes() {
		k := r.Node(i)
		k.mu.Lock()
		if d := k.check(); defect == "" {
			defect = d
		}
		mapped += units.Bytes(k.hugeGrown) << units.HugePageShift
		k.mu.Unlock()
	}
	if defect == "" && mapped != r.space.MappedBytes() {
		defect = "the bytes mapped differ from what the nodes know"
	}
	r.growMu.Unlock()
	return defect
}

func (h *Heap) check() string {
	var n tally
	top := h.covered
	if grown := units.HugePageID(h.window().Grown() >> units.HugePageShift); grown < top {
		top = grown
	}
	for hp := units.HugePageID(0); hp < top; {
		if !h.mine(hp) {
			if h.cache.isFree(hp, kindAny) {
				return "another node's hugepage is free here"
			}
			hp++
			continue
		}
		next, defect := h.checkHuge(hp, &n)
		if defect != "" {
			return defect
		}
		hp = next
	}
	if h.cache.next(uint32(top), kindAny) != maxHuge {
		return "a free hugepage lies outside the window"
	}
	if defect := h.checkCounts(&n); defect != "" {
		return defect
	}
	return h.checkLists(n.filler)
}

// checkHuge checks what begins at hugepage hp and returns the hugepage behind it.
func (h *Heap) checkHuge(hp units.HugePageID, n *tally) (units.HugePageID, string) {
	b, u := h.cache.isFree(hp, kindBacked), h.cache.isFree(hp, kindUnbacked)
	t := h.filler.trackers.at(hp)
	id := h.pages.Span(hp.Page())
	switch {
	case b && u:
		return 0, "a hugepage is both backed and unbacked"
	case b || u:
		if t.state != stateNone {
			return 0, "a free hugepage is in the filler"
		}
		if id != 0 || h.pages.Class(hp.Page()) != 0 {
			return 0, "a page of a free hugepage is in the page map"
		}
		if b {
			n.backed++
		} else {
			n.unbacked++
		}
		return hp + 1, ""
	case t.state == stateLimbo:
		return 0, "a hugepage was left in limbo"
	case t.state == stateRegion:
		return hp + 1, h.checkRegional(hp, t, n)
	case t.state == stateFiller:
		n.filler++
		return hp + 1, h.checkTracker(hp, t, n)
	case id == 0:
		return hp + 1, "" // a gap of the window; the sum tells if it is not
	}
	s := h.spans.At(id)
	if s.First != hp.Page() || s.Class != 0 || uint32(s.Pages) < perHuge {
		return 0, "a span at the start of a whole hugepage is not large"
	}
	whole := units.HugePageID(uint32(s.Pages) / perHuge)
	for i := hp; i < hp+whole; i++ {
		if h.cache.isFree(i, kindAny) || !h.mine(i) || h.filler.trackers.at(i).state != stateNone {
			return 0, "a hugepage of a large span is free or in the filler"
		}
		if i != hp && h.pages.Span(i.Page()) != 0 {
			return 0, "a span is registered inside a large span"
		}
	}
	if uint32(s.Pages)%perHuge != 0 && h.filler.trackers.at(hp+whole).state != stateFiller {
		return 0, "the tail of a large span is not in the filler"
	}
	n.span(s)
	n.whole += uint32(whole)
	return hp + whole, ""
}

// checkRegional checks a hugepage of a region page by page. Spans are counted where they begin.
func (h *Heap) checkRegional(hp units.HugePageID, t *tracker, n *tally) string {
	r := h.regionAt(hp)
	if uint32(hp) < r.first || uint32(hp) >= r.first+r.huge {
		return "a hugepage is of no region"
	}
	used := t.used.count(0, perHuge)
	if used != uint32(t.usedPages) || used != 0 && !t.touched || t.pinned || t.released != (bitmap{}) || t.zero != (bitmap{}) {
		return "a region's tracker contradicts itself"
	}
	n.region++
	n.regionUsed += uint64(used)
	if used != 0 {
		n.busy++
	} else if t.touched {
		n.empty++
	}
	until := hp.Page() // pages below belong to a span
	if id := h.spanInRegion(until); id != 0 {
		until = h.spans.At(id).First + units.PageID(h.spans.At(id).Pages)
	}
	for i := uint32(0); i < perHuge; i++ {
		page := hp.Page() + units.PageID(i)
		id := h.pages.Span(page)
		if id != 0 {
			s := h.spans.At(id)
			if s.First != page || s.Class != 0 || i != 0 && page < until || h.regionAt((page+units.PageID(s.Pages)-1).Huge()) != r {
				return "a span of a region is not where it should be"
			}
			until = page + units.PageID(s.Pages)
			n.span(s)
		}
		if h.pages.Class(page) != 0 || (page < until) != (t.used.nextSet(i) == i) {
			return "a page of a region is used and of no span, or the reverse"
		}
	}
	return ""
}

// checkTracker checks a hugepage of the filler page by page.
func (h *Heap) checkTracker(hp units.HugePageID, t *tracker, n *tally) string {
	for w := range t.used {
		if t.released[w]&^t.zero[w] != 0 || t.zero[w]&t.used[w] != 0 {
			return "a page is released but not known as zero, or zero but used"
		}
	}
	used, released := t.used.count(0, perHuge), t.released.count(0, perHuge)
	if used == 0 || used == perHuge && t.longest != 0 || used != uint32(t.usedPages) ||
		released != uint32(t.releasedPages) || t.used.longestClear() != uint32(t.longest) {
		return "a tracker's counts differ from its bitmaps"
	}
	n.fillerFree += uint64(perHuge - used - released)
	n.fillerReleased += uint64(released)
	allocs := uint16(0)
	for i := uint32(0); i < perHuge; {
		page := hp.Page() + units.PageID(i)
		id := h.pages.Span(page)
		if t.used.nextSet(i) != i {
			if id != 0 || h.pages.Class(page) != 0 {
				return "a free page is in the page map"
			}
			i++
			continue
		}
		allocs++
		length, defect := h.checkSpan(page, id, n)
		if defect != "" {
			return defect
		}
		if length == 0 || i+length > perHuge || t.used.count(i, length) != length {
			return "a span reaches over free pages"
		}
		i += length
	}
	if allocs != t.allocs || t.donated && allocs != 1 {
		return "a tracker's number of allocations is wrong"
	}
	return ""
}

// checkSpan checks the span, or the tail of one, that begins on a used page of the filler, and returns its
// length there.
func (h *Heap) checkSpan(page units.PageID, id units.SpanID, n *tally) (uint32, string) {
	if id == 0 {
		id = h.SpanOf(h.space.Addr(page))
		if id == 0 || uint32(page)%perHuge != 0 {
			return 0, "a used page belongs to no span"
		}
		s := h.spans.At(id)
		if s.Class != 0 || h.pages.Class(page) != 0 {
			return 0, "a tail belongs to a span that is not large"
		}
		return uint32(s.Pages) - uint32(page-s.First), ""
	}
	s := h.spans.At(id)
	if s.First != page || uint32(s.Pages) >= perHuge {
		return 0, "a span is registered where it does not begin"
	}
	n.span(s)
	shown := s.Class
	if hidden(s) {
		shown = 0
	}
	for p := page; p < page+units.PageID(s.Pages); p++ {
		if h.pages.Class(p) != shown || s.Class != 0 && h.pages.Span(p) != id || s.Class == 0 && p != page && h.pages.Span(p) != 0 {
			return 0, "the page map differs from the span"
		}
	}
	return uint32(s.Pages), ""
}

func (h *Heap) checkCounts(n *tally) string {
	if n.small != h.small || n.large != h.large || n.hinted != h.hinted || uint64(n.spans) != h.allocated-h.freed {
		return "the counters of spans differ from the spans"
	}
	if n.fillerFree != h.filler.free || n.fillerReleased != h.filler.released || n.filler != h.filler.huge {
		return "the filler's counters differ from its hugepages"
	}
	if n.backed != h.cache.backed || n.unbacked != h.cache.unbacked || h.cache.limbo != 0 || h.cache.low > n.backed {
		return "the cache's counters differ from its bitmaps"
	}
	rs, perRegion := &h.regions, uint32(0)
	for i := range rs.list {
		perRegion += rs.list[i].used
	}
	if n.region != rs.huge || n.busy != rs.busy || n.empty != rs.empty || n.regionUsed != rs.used || uint64(perRegion) != rs.used ||
		rs.low > rs.empty || rs.free != uint64(n.busy+n.empty)*uint64(perHuge)-rs.used {
		return "the counters of regions differ from their hugepages"
	}
	sum := uint64(n.region) + uint64(n.backed) + uint64(n.unbacked) + uint64(n.filler) + uint64(n.whole) + uint64(h.pendingCount)
	if sum != h.hugeGrown {
		return "a hugepage is lost"
	}
	var st Stats
	h.stats(&st)
	if st.Mapped != st.Accounted() {
		return "the bytes mapped differ from the sum of the bytes known"
	}
	for i := range h.cache.words {
		w, s := &h.cache.words[i], &h.cache.summary[i>>6]
		if (w.backed != 0) != (s.backed>>(i&63)&1 != 0) || (w.unbacked != 0) != (s.unbacked>>(i&63)&1 != 0) {
			return "the cache's summary differs from its bitmap"
		}
	}
	return ""
}

// checkLists checks that the lists hold each hugepage of the filler once, where it belongs.
func (h *Heap) checkLists(huge uint32) string {
	found, tails := uint32(0), uint64(0)
	for set := range uint32(sets) {
		for g := range uint32(groups) {
			l, o := &h.filler.lists[set][g], &h.filler.occupied[set][g]
			for i := range uint32(indexes) {
				if (l[i] != 0) != (o.nonempty[i>>6]>>(i&63)&1 != 0) || (o.nonempty[i>>6] != 0) != (o.summary>>(i>>6)&1 != 0) {
					return "a list's bit differs from its head"
				}
				prev := uint32(0)
				for link := l[i]; link != 0; found++ {
					t := h.filler.trackers.at(units.HugePageID(link - 1))
					group, index := t.place()
					if t.state != stateFiller || t.prev != prev || uint32(t.set) != set || found > huge ||
						uint32(t.group) != g || uint32(t.index) != i || uint32(group) != g || uint32(index) != i {
						return "a hugepage is in the wrong list"
					}
					if group == groupDonated {
						tails += uint64(t.longest)
					}
					prev, link = link, t.next
				}
			}
		}
	}
	if found != huge {
		return "a hugepage of the filler is in no list"
	}
	if tails != h.filler.tails {
		return "the pages behind tails are miscounted"
	}
	return ""
}
