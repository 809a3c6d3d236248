package centralfreelist

import (
	"math/bits"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// MaxBatch is the most objects one call moves. It bounds the arrays on callers' stacks.
const MaxBatch = 64

// list is one size class's spans. What an operation writes stands in the first lines, and classes share none.
type list struct {
	mu       sys.ListLock
	shelf           // spans whose origin is unknown, or does not matter
	spans    uint32 // live
	stocked  uint64 // bit i: domain i+1 has a span with room on its shelf; written atomically
	free     uint64 // objects free in live spans
	fetched  uint64 // spans ever taken from the page heap
	returned uint64 // spans ever given back
	reused   uint64 // objects handed out that somebody of a known domain may have freed
	crossed  uint64 // and that another domain freed
	now      [bandRoom]uint32
	seen     [bandRoom]uint64
	gone     [bandRoom]uint64
	epoch    uint16 // see Snapshot
	_        [94]byte
}

// Tier is the central free lists of all classes and the page heap below them. The zero value needs Init of
// Pages only.
type Tier struct {
	lists   lists
	others  vm.Table     // pools but the first
	laid    uint64       // bit i: the lists of pool i are mapped; atomic
	opening sys.PoolLock // held while a pool is made
	rows    vm.Table     // of the domains
	counted uint32       // domains that have rows; 0: there is but one. Atomic
	domains uint32       // the same where these have shelves, else 0. Atomic

	// Legacy switches span prioritisation off.
	Legacy bool

	Pages pageheap.Heap
}

// Remove takes up to n objects of class c from the spans of a pool (a node's number, or PoolOf), writes them to out and
// returns how many; fewer than n when memory is short or when a new span had fewer. domain is that in which the caller
// runs, from 1 to 255, whose own spans come first; 0 where there is but one. Preconditions: n <= len(out), c != 0, the
// pool exists.
func (t *Tier) Remove(pool uint32, c units.ClassID, out []uintptr, n int, domain uint32) int {
	got := t.removeFree(pool, c, out, n, domain, false)
	if got < n {
		got += t.populate(pool, c, out[got:], n-got, domain)
	}
	return got
}

// RemoveOwn is Remove from the spans whose free objects came from the caller's domain only; 0 if there are none.
func (t *Tier) RemoveOwn(pool uint32, c units.ClassID, out []uintptr, n int, domain uint32) int {
	return t.removeFree(pool, c, out, n, domain, true)
}

func (t *Tier) removeFree(pool uint32, c units.ClassID, out []uintptr, n int, domain uint32, own bool) int {
	l := &t.on(pool)[c]
	got := 0
	l.mu.Lock()
	for got < n {
		k := t.pick(l, pool, c, domain, own)
		if k == nil {
			break
		}
		id := k.heads[bits.TrailingZeros8(k.nonempty)]
		s := t.Pages.Span(id)
		if s.Next != 0 && int(s.Capacity-s.Allocated) < n-got { // its turn comes next
			t.Pages.Span(s.Next).Touch()
		}
		before, known := s.Allocated, s.HandedOut()
		came := s.Pop(t.Pages.Addr(id), out[got:], n-got)
		got += came
		l.free -= uint64(came)
		l.changed(s, before)
		if s.Origin != 0 && domain != 0 {
			again := uint64(came) - uint64(s.HandedOut()-known)
			l.reused += again
			t.NoteReused(pool, c, domain, int(again))
			if uint32(s.Origin) != domain {
				l.crossed += again
			}
		}
		if want := t.listOf(s); want != s.List {
			t.move(l, pool, id, s, want)
		}
	}
	l.mu.Unlock()
	return got
}

// dirty is the first word of an object that is its span's only one, when it may not read as zero: calloc of such a
// size clears an object only if its first word is not clear. Those that have been freed bear the heap's mark there.
const dirty = 1

// populate takes new spans for a pool, as many as it takes to serve n objects but no more than a batch, and serves up to n
// objects of them. Two threads may both come here and each add spans: rare, and what is left of them is used next.
func (t *Tier) populate(pool uint32, c units.ClassID, out []uintptr, n int, domain uint32) (got int) {
	var ids [pageheap.MaxBatch]units.SpanID
	k := sizeclass.Of(c)
	spans, zeroed := t.newSpans(pool, c, ids[:min((n+int(k.Objects)-1)/int(k.Objects), len(ids))])
	if spans == 0 {
		return 0
	}
	for i, id := range ids[:spans&(2*pageheap.MaxBatch-1)] {
		s, base := t.Pages.Span(id), t.Pages.Addr(id)
		s.List, s.Origin = unlisted, uint8(domain)
		if k.Objects == 1 && zeroed>>i&1 == 0 {
			sys.Store64(base, dirty)
		}
		got += s.Pop(base, out[got:], n-got)
	}
	l := &t.on(pool)[c]
	l.mu.Lock()
	l.spans += uint32(spans)
	l.fetched += uint64(spans)
	l.free += uint64(spans)*uint64(k.Objects) - uint64(got)
	for _, id := range ids[:spans&(2*pageheap.MaxBatch-1)] {
		s := t.Pages.Span(id)
		l.arrived(s)
		if !s.Full() {
			t.move(l, pool, id, s, t.listOf(s))
		}
	}
	l.mu.Unlock()
	return got
}

// newSpans makes up to len(ids) spans, and returns how many and of which objects the pages read as zero.
func (t *Tier) newSpans(pool uint32, c units.ClassID, ids []units.SpanID) (n int, zeroed uint32) {
	pages := t.Pages.Node(nodeOf(pool))
	if hint := hintOf(pool); hint != pageheap.HintNone {
		id, zero := pages.AllocHidden(units.Pages(sizeclass.Of(c).Pages), c, hint)
		if id == 0 {
			return 0, 0
		}
		if zero {
			zeroed = 1
		}
		ids[0] = id
		return 1, zeroed
	}
	return pages.AllocBatch(c, ids)
}

// Insert gives objects of class c, all of one pool (Split), back to their spans. domain is that which freed them, from 1
// to 255; 0 for unknown. It returns the first pointer that is not an object handed out of class c (an interior
// pointer, or an object given back twice, which spans of 8 and 16 bytes don't see), or 0; such pointers are left
// alone. Preconditions: len(objects) <= MaxBatch and every object lies in the window.
func (t *Tier) Insert(pool uint32, c units.ClassID, objects []uintptr, domain uint32) (bad uintptr) {
	// The page map is read before the lock is taken: an object's span does not change while it is out. Of a
	// pointer that is no object the answer may be stale; the span then refuses it. Their spans' lines are fetched all at
	// once here: one after the other, under the lock, they were three quarters of an Insert's time in a key-value store.
	var ids [MaxBatch]units.SpanID
	for i, p := range objects {
		id := t.Pages.SpanAt(p)
		ids[i&(MaxBatch-1)] = id
		t.Pages.Span(id).Touch()
	}
	l := &t.on(pool)[c]
	back := uint64(0) // objects that become free, less those that leave with their spans
	empties := 0      // ids[:empties] are emptied spans: never more than objects looked at
	l.mu.Lock()
	for i := 0; i < len(objects); {
		id, end := ids[i&(MaxBatch-1)], i+1
		for end < len(objects) && ids[end&(MaxBatch-1)] == id {
			end++
		}
		run := objects[i:end]
		i = end
		s := t.Pages.Span(id)
		if id == 0 || s.Class != c {
			if bad == 0 {
				bad = run[0]
			}
			continue
		}
		before := s.Allocated
		n, wrong := s.Push(t.Pages.Addr(id), run)
		if bad == 0 {
			bad = wrong
		}
		if n == 0 {
			continue
		}
		if domain != 0 && vote(s, uint8(domain), n) {
			t.unlink(l, pool, id, s)
			s.Origin = uint8(domain)
		}
		back += uint64(n)
		l.changed(s, before)
		if !s.Empty() {
			if want := t.listOf(s); want != s.List {
				t.move(l, pool, id, s, want)
			}
			continue
		}
		t.unlink(l, pool, id, s)
		back -= uint64(s.Capacity)
		l.spans--
		l.returned++
		ids[empties&(MaxBatch-1)] = id
		empties++
	}
	l.free += back
	l.mu.Unlock()
	if empties > 0 {
		t.Pages.Node(nodeOf(pool)).FreeBatch(ids[:empties&(2*MaxBatch-1)])
	}
	return bad
}

// IsFree reports whether object p lies free in span id of class c: a check for pointers under suspicion.
func (t *Tier) IsFree(c units.ClassID, id units.SpanID, p uintptr) bool {
	s := t.Pages.Span(id)
	pool := PoolOf(t.Pages.NodeAt(p), pageheap.Hint(s.Hint))
	if !t.open(pool) { // id is not p's span any more
		return false
	}
	l := &t.on(pool)[c]
	l.mu.Lock()
	free := s.Class == c && s.IsFree(t.Pages.Addr(id), p)
	l.mu.Unlock()
	return free
}

// unlisted marks a span that is in no sublist.
const unlisted = 0xff

// listOf is the sublist that a span's occupancy asks for: unlisted when it is full.
func (t *Tier) listOf(s *span.Span) uint8 {
	if s.Full() {
		return unlisted
	}
	if t.Legacy {
		return 0
	}
	return order(s.Allocated, s.Capacity)
}

// move puts span id into sublist want of its domain's shelf, from whatever it was in.
func (t *Tier) move(l *list, pool uint32, id units.SpanID, s *span.Span, want uint8) {
	t.unlink(l, pool, id, s)
	if want == unlisted {
		return
	}
	k := t.shelfOf(l, pool, s.Class, uint32(s.Origin))
	s.List = want
	s.Prev, s.Next = 0, k.heads[want]
	if s.Next != 0 {
		t.Pages.Span(s.Next).Prev = id
	}
	k.heads[want] = id
	k.nonempty |= 1 << want
	t.mark(l, k, uint32(s.Origin))
}

func (t *Tier) unlink(l *list, pool uint32, id units.SpanID, s *span.Span) {
	if s.List == unlisted {
		return
	}
	if s.Next != 0 {
		t.Pages.Span(s.Next).Prev = s.Prev
	}
	if s.Prev != 0 {
		t.Pages.Span(s.Prev).Next = s.Next
	} else {
		k := t.shelfOf(l, pool, s.Class, uint32(s.Origin))
		if k.heads[s.List] = s.Next; s.Next == 0 {
			k.nonempty &^= 1 << s.List
			t.mark(l, k, uint32(s.Origin))
		}
	}
	s.List, s.Next, s.Prev = unlisted, 0, 0
}
