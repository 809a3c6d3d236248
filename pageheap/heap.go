package pageheap

import (
	"github.com/vcmalloc/vcmalloc/internal/pagemap"
	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// Heap is one window of addresses and all that is known of its pages. Until Init the zero value refuses
// every request. Methods may be called from any number of threads unless they say otherwise. It holds no
// pointer and about 300 KiB, of which a small process touches a few system pages.
type Heap struct {
	growMu sys.GrowLock // held while the window or a table grows; before mu
	space  vm.Space     // guarded by growMu

	mu      sys.PageLock
	pages   pagemap.Map
	spans   span.Table
	filler  filler
	cache   cache
	regions regions

	// Ids that spans freed one by one left behind: a large object that comes and goes takes the page heap's lock for it
	// and not the table's too.
	spare  [spareIDs]units.SpanID
	spares uint32

	lifetime bool        // the filler's second set is in use
	maxBytes units.Bytes // the window maps no more

	// Hugepages below covered have page map entries and trackers. pending are hugepages behind covered
	// that were grown, but that the system had no memory to describe. They change under both locks.
	covered      units.HugePageID
	pendingFirst units.HugePageID
	pendingCount uint32

	small, large uint64        // pages in spans
	hinted       [Hints]uint64 // the same pages, by hint

	// Background's memory: when it last ran, what was in use, and the fractions of hugepages and pages (in
	// 1/1024) that it still owes.
	lastBackground  int64
	hugeDemand      demand
	pageDemand      demand
	owed, owedPages uint32
	owedRegional    uint32
	credit          units.Bytes // released beyond what ReleaseAtLeast was asked for

	limits   limits
	brief    brief
	collapse collapser
	chilled  chilled
	asked    uint32 // bit hp: hugepage hp of the window's first vm.Unhuged bytes was asked for as one

	allocated, freed uint64 // spans
	hugeGrown        uint64 // hugepages
	releasedBytes    uint64
	madviseFailures  uint64

	// NUMA, see nodes.go. announced are what the other heaps read of this one for the limits; atomic.
	nodes                    nodes
	home                     uintptr // address of the home heap; 0: this is it
	index                    uint32  // number among the heaps
	bind                     uint32  // kernel's number of the node that memory is to come from, plus one; guarded by growMu
	announced, announcedFree uint64  // pages
}

// Options are a heap's settings. The zero value is the legacy design without a limit.
type Options struct {
	Seed           uint64      // of the window's address
	LifetimeFiller bool        // keep spans of few objects apart from spans of many
	MaxBytes       units.Bytes // the window maps at most this much; 0: no limit
}

// Init finds the heap a window. It reports false when there is no address space for one. Call it once,
// before any other method.
func (h *Heap) Init(o Options) bool {
	if !h.space.Init(o.Seed) || uint32(h.space.MaxPages())>>units.PagesPerHugeShift > maxHuge {
		return false
	}
	h.pages.Init(&h.space)
	h.spans.Init(&h.space)
	h.filler.trackers.init(&h.space)
	h.lifetime = o.LifetimeFiller
	h.maxBytes = o.MaxBytes
	if h.maxBytes == 0 {
		h.maxBytes = ^units.Bytes(0)
	}
	h.limits = limits{soft: unlimited, hard: unlimited}
	h.regions.patience = tailsMost
	h.collapse.pace = pace{wait: collapseAfter, balance: collapseSaved}
	h.brief.init()
	return true
}

// Unmap returns all memory of the heap, spans handed out included. Only tests that built their own call it.
func (h *Heap) Unmap() { h.space.Free() }

// Alloc hands out n pages: for objects of class c, of which the span holds the given number, or as one
// large object if c is 0. zeroed tells that they are known to read as zero. 0 means out of memory; nothing
// has changed then.
func (h *Heap) Alloc(n units.Pages, c units.ClassID, objects uint16) (id units.SpanID, zeroed bool) {
	if c == 0 {
		objects = 1
	}
	return h.alloc(n, 1, c, setOf(objects), HintNone)
}

// setOf is the set of hugepages for spans of so many objects.
func setOf(objects uint16) uint32 {
	if objects > fewObjects {
		return setLong
	}
	return setShort
}

// AllocAligned hands out n pages as one large object whose address is a multiple of align pages.
// Preconditions: align is a power of two.
func (h *Heap) AllocAligned(n, align units.Pages) (id units.SpanID, zeroed bool) {
	return h.alloc(n, align, 0, setShort, HintNone)
}

// AllocHinted is AllocAligned for callers who know something of the object's future.
func (h *Heap) AllocHinted(n, align units.Pages, hint Hint) (id units.SpanID, zeroed bool) {
	return h.alloc(n, align, 0, hint.set(), hint)
}

// AllocRoomy is AllocAligned, without an alignment, for an object that is likely to grow: there may be free pages behind
// it for TryResize.
func (h *Heap) AllocRoomy(n units.Pages) (id units.SpanID, zeroed bool) {
	return h.alloc(n, 1, 0, setShort|roomy, HintNone)
}

// AllocHidden is Alloc of a span for hinted objects of class c. The page map does not tell their class, so that fast
// paths, which know nothing of hints, leave them alone; the span does. Preconditions: c != 0, hint != HintNone.
func (h *Heap) AllocHidden(n units.Pages, c units.ClassID, hint Hint) (id units.SpanID, zeroed bool) {
	return h.alloc(n, 1, c, hint.set(), hint)
}

func (h *Heap) alloc(n, align units.Pages, c units.ClassID, set uint32, hint Hint) (id units.SpanID, zeroed bool) {
	if n == 0 || n > h.space.MaxPages() {
		return 0, false
	}
	r := h.root()
	h.mu.Lock()
	if id = h.spareID(); id == 0 {
		h.mu.Unlock()
		id = r.spans.New(&r.space, &r.growMu)
		if id == 0 {
			return 0, false
		}
		h.mu.Lock()
	}
	g := h.take(uint32(n), uint32(align), set)
	if g.first == units.NoPage {
		h.mu.Unlock()
		g = h.takeGrowing(uint32(n), uint32(align), set)
	}
	if g.first == units.NoPage {
		h.mu.Unlock()
		r.spans.Delete(id)
		return 0, false
	}
	h.allocated++
	*h.inSpans(c) += uint64(n)
	h.hinted[hint%Hints] += uint64(n)
	h.note()
	over := h.backedPages() > h.limits.soft
	chill, thaw := h.temper(g.first.Huge(), max(uint32(n)/perHuge, 1), set == setCold)
	region := h.filler.tails >= h.regions.patience && regional(uint32(n)) && h.regionAt(g.first.Huge()) == nil
	h.mu.Unlock()
	if region {
		h.openRegion()
	}
	if over && !h.enforce() {
		h.undo(g.first, uint32(n), c, hint)
		r.spans.Delete(id)
		return 0, false
	}
	switch {
	case chill:
		r.space.AskSmall(g.first.Huge(), uintptr(max(n/units.PagesPerHuge, 1)))
	case thaw || g.earned:
		r.space.AskHuge(g.first.Huge(), uintptr(max(n/units.PagesPerHuge, 1)))
	}
	s := h.spans.At(id)
	s.Init(g.first, n, c)
	s.Hint = uint8(hint)
	if hidden(s) {
		h.pages.SetHidden(g.first, n, id)
	} else {
		h.pages.Set(g.first, n, c, id)
	}
	return id, g.zeroed
}

// spareIDs is how many ids a heap keeps, half a kilobyte of spans.
const spareIDs = 8

// spareID is one of the spare ids, 0 if there is none. Caller holds mu, as for keepID.
func (h *Heap) spareID() (id units.SpanID) {
	if h.spares != 0 {
		h.spares--
		id = h.spare[h.spares%spareIDs]
	}
	return id
}

// keepID keeps the id of a span that is no more for the next one; false if there are enough.
func (h *Heap) keepID(id units.SpanID) bool {
	if h.spares == spareIDs {
		return false
	}
	*h.spans.At(id) = span.Span{}
	h.spare[h.spares%spareIDs] = id
	h.spares++
	return true
}

// hidden reports whether a span is one of AllocHidden.
func hidden(s *span.Span) bool { return s.Class != 0 && Hint(s.Hint) != HintNone }

// inSpans counts the pages of spans of class c.
func (h *Heap) inSpans(c units.ClassID) *uint64 {
	if c != 0 {
		return &h.small
	}
	return &h.large
}

// grant is what a request got.
type grant struct {
	first  units.PageID // NoPage: nothing
	zeroed bool         // known to read as zero
	earned bool         // first begins a hugepage that is to be asked for, once no lock is held
}

// take finds n pages in what the window has. Caller holds mu.
func (h *Heap) take(n, align, set uint32) grant {
	room := set&roomy != 0
	set &^= roomy
	if n < perHuge && align < perHuge {
		apart, also := h.setsFor(set)
		if room && h.filler.packed() {
			if first, zeroed, ok := h.filler.getRoomy(n, apart); ok {
				return grant{first: first, zeroed: zeroed}
			}
		}
		first, zeroed, ok := h.filler.get(n, align, apart)
		if !ok && also != apart {
			first, zeroed, ok = h.filler.get(n, align, also)
		}
		if ok {
			return grant{first: first, zeroed: zeroed}
		}
		hp := h.takeHuge(1, 1)
		if hp == units.NoHuge {
			return grant{first: units.NoPage}
		}
		fresh := h.cache.take(hp, 1)
		earned := fresh && earns(uint32(hp), set&^firm)
		if earned {
			h.asked |= 1 << (hp % unhuged)
		}
		h.filler.open(hp, n, apart, fresh, h.inSmallPages(hp, set&^firm), false)
		return grant{first: hp.Page(), zeroed: fresh, earned: earned}
	}
	if align == 1 && set != setCold && h.regions.huge != 0 && regional(n) {
		if g, ok := h.takeRegional(n); ok {
			return g
		}
	}
	whole, tail := n/perHuge, n%perHuge
	hp := h.takeHuge((n+perHuge-1)/perHuge, max(align/perHuge, 1))
	if hp == units.NoHuge {
		return grant{first: units.NoPage}
	}
	zeroed := true
	if whole != 0 {
		zeroed = h.cache.take(hp, whole)
	}
	if tail != 0 {
		last := hp + units.HugePageID(whole)
		fresh := h.cache.take(last, 1)
		h.filler.open(last, tail, setShort, fresh, h.inSmallPages(last, setShort), true)
		zeroed = zeroed && fresh
	}
	return grant{first: hp.Page(), zeroed: zeroed}
}

// setsFor is the set of hugepages for spans of a set, and the one to look in before a hugepage is opened for it: the
// same, but in a heap that is small. The legacy design does not keep spans of many objects apart. What earns a hugepage
// is the same in both designs.
func (h *Heap) setsFor(set uint32) (apart, also uint32) {
	apart = set &^ firm
	switch {
	case apart == setCold:
	case !h.lifetime:
		apart = setShort
	case set&firm == 0 && h.filler.huge < apartFrom:
		return apart, setShort + setLong - apart
	}
	return apart, apart
}

// takeHuge finds n free hugepages in a row at an address that is a multiple of align hugepages. They are still
// in the cache; NoHuge if there are none. Backed ones first: they cost no page faults. Then unbacked, then
// mixed.
func (h *Heap) takeHuge(n, align uint32) units.HugePageID {
	base := uint64(h.space.Base() >> units.HugePageShift)
	for k := kindBacked; k <= kindAny; k++ {
		if hp, ok := h.cache.find(n, align, base, k); ok {
			return hp
		}
	}
	return units.NoHuge
}

// give takes back the n pages of a span or, if that is less than a hugepage, of as many in a row as allocs. Hugepages that
// must be released are put in front of the list limbo, whose new head it returns. Caller holds mu.
func (h *Heap) give(first units.PageID, n uint32, allocs uint16, limbo uint32) uint32 {
	hp := first.Huge()
	if r := h.regionAt(hp); r != nil {
		h.putRegional(r, first, n)
		return limbo
	}
	if n < perHuge {
		return h.put(hp, uint32(first)%perHuge, n, allocs, limbo)
	}
	whole, tail := n/perHuge, n%perHuge
	h.cache.add(hp, whole, kindBacked)
	if tail != 0 {
		limbo = h.put(hp+units.HugePageID(whole), 0, tail, 1, limbo)
	}
	return limbo
}

// put gives pages back to the filler and the hugepage, if that empties it, to the cache or to limbo.
func (h *Heap) put(hp units.HugePageID, i, n uint32, allocs uint16, limbo uint32) uint32 {
	return h.settle(hp, h.filler.put(hp, i, n, allocs), limbo)
}

func (h *Heap) settle(hp units.HugePageID, o outcome, limbo uint32) uint32 {
	switch o {
	case backed:
		h.cache.add(hp, 1, kindBacked)
	case unbacked:
		h.cache.add(hp, 1, kindUnbacked)
	case broken:
		if uint32(hp)+1 == h.collapse.hp { // the kernel is about to put memory behind all of it
			h.filler.trackers.at(hp).state = stateNone
			h.cache.add(hp, 1, kindBacked)
			return limbo
		}
		h.cache.limbo++
		h.filler.trackers.at(hp).next = limbo
		return uint32(hp) + 1
	}
	return limbo
}
