package centralfreelist

import (
	"math/bits"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// MaxBatch is the most objects one call moves. It bounds the arrays on callers' stacks.
const MaxBatch = 64

// list is one size class's spans. It fills two cache lines so that classes do not share one.
type list struct {
	mu       sys.Mutex
	heads    [Sublists]units.SpanID
	nonempty uint8 // bit i: heads[i] != 0
	_        [3]byte
	spans    uint32 // live
	free     uint64 // objects free in live spans
	fetched  uint64 // spans ever taken from the page heap
	returned uint64 // spans ever given back
	_        [56]byte
}

// Tier is the central free lists of all classes and the page heap below them. The zero value needs Init of
// Pages only.
type Tier struct {
	lists [sizeclass.NumClasses]list

	// Legacy switches span prioritisation off.
	Legacy bool

	Pages pageheap.Heap
}

// Remove takes up to n objects of class c, writes them to out and returns how many; fewer than n when memory
// is short or when a new span had fewer. Preconditions: n <= len(out), c != 0.
func (t *Tier) Remove(c units.ClassID, out []uintptr, n int) int {
	l := &t.lists[c]
	got := 0
	l.mu.Lock()
	for got < n && l.nonempty != 0 {
		i := bits.TrailingZeros8(l.nonempty)
		id := l.heads[i]
		s := t.Pages.Span(id)
		k := s.Pop(t.Pages.Addr(id), out[got:], n-got)
		got += k
		l.free -= uint64(k)
		t.place(l, id, s)
	}
	l.mu.Unlock()
	if got < n {
		got += t.populate(c, out[got:], n-got)
	}
	return got
}

// populate takes a new span and serves up to n objects of it. Two threads may both come here and each add a
// span: rare, and the second span is used next.
func (t *Tier) populate(c units.ClassID, out []uintptr, n int) int {
	k := sizeclass.Of(c)
	id, _ := t.Pages.Alloc(units.Pages(k.Pages), c, k.Objects)
	if id == 0 {
		return 0
	}
	l, s := &t.lists[c], t.Pages.Span(id)
	s.List = unlisted
	got := s.Pop(t.Pages.Addr(id), out, n)
	l.mu.Lock()
	l.spans++
	l.fetched++
	l.free += uint64(s.Capacity) - uint64(got)
	t.place(l, id, s)
	l.mu.Unlock()
	return got
}

// Insert gives objects of class c back to their spans. It returns the first pointer that is not an object
// handed out of class c (an interior pointer, or an object given back twice, which spans of 8 and 16 bytes
// don't see), or 0; such pointers are left alone. Preconditions: len(objects) <= MaxBatch and every object lies in the window.
func (t *Tier) Insert(c units.ClassID, objects []uintptr) (bad uintptr) {
	var empty [MaxBatch]units.SpanID
	empties := 0
	l := &t.lists[c]
	l.mu.Lock()
	for _, p := range objects {
		id := t.Pages.SpanAt(p)
		s := t.Pages.Span(id)
		if id == 0 || s.Class != c || !s.Push(t.Pages.Addr(id), p) {
			if bad == 0 {
				bad = p
			}
			continue
		}
		l.free++
		if s.Empty() {
			t.unlink(l, id, s)
			l.free -= uint64(s.Capacity)
			l.spans--
			l.returned++
			empty[empties&(MaxBatch-1)] = id
			empties++
			continue
		}
		t.place(l, id, s)
	}
	l.mu.Unlock()
	if empties > 0 {
		t.Pages.FreeBatch(empty[:empties&(2*MaxBatch-1)])
	}
	return bad
}

// IsFree reports whether object p lies free in span id of class c: a check for pointers under suspicion.
func (t *Tier) IsFree(c units.ClassID, id units.SpanID, p uintptr) bool {
	l := &t.lists[c]
	l.mu.Lock()
	s := t.Pages.Span(id)
	free := s.Class == c && s.IsFree(t.Pages.Addr(id), p)
	l.mu.Unlock()
	return free
}

// unlisted marks a span that is in no sublist.
const unlisted = 0xff

// place puts span id into the sublist its occupancy asks for, or into none when it is full.
func (t *Tier) place(l *list, id units.SpanID, s *span.Span) {
	want := uint8(unlisted)
	if !s.Full() {
		want = 0
		if !t.Legacy {
			want = order(s.Allocated, s.Capacity)
		}
	}
	if want == s.List {
		return
	}
	t.unlink(l, id, s)
	if want == unlisted {
		return
	}
	s.List = want
	s.Prev, s.Next = 0, l.heads[want]
	if s.Next != 0 {
		t.Pages.Span(s.Next).Prev = id
	}
	l.heads[want] = id
	l.nonempty |= 1 << want
}

func (t *Tier) unlink(l *list, id units.SpanID, s *span.Span) {
	if s.List == unlisted {
		return
	}
	if s.Next != 0 {
		t.Pages.Span(s.Next).Prev = s.Prev
	}
	if s.Prev != 0 {
		t.Pages.Span(s.Prev).Next = s.Next
	} else if l.heads[s.List] = s.Next; s.Next == 0 {
		l.nonempty &^= 1 << s.List
	}
	s.List, s.Next, s.Prev = unlisted, 0, 0
}

// Stats of one class, in objects and spans.
type Stats struct {
	Spans, Contended  uint32
	Free, Capacity    uint64
	Fetched, Returned uint64
}

// Stats reads the counters of class c at one moment.
func (t *Tier) Stats(c units.ClassID, out *Stats) {
	l := &t.lists[c]
	l.mu.Lock()
	*out = Stats{Spans: l.spans, Free: l.free, Capacity: uint64(l.spans) * uint64(sizeclass.Of(c).Objects),
		Contended: l.mu.Contended(), Fetched: l.fetched, Returned: l.returned}
	l.mu.Unlock()
}
