package pageheap

import (
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// model drives a heap and knows the owner of each page by itself.
type model struct {
	t     testing.TB
	h     *Heap
	live  []held
	owner []units.SpanID // by page
	clock int64
	brief int64 // a clock of Tidy's
	steps int
	ops   [numOps]int // how many of each operation did something

	faulty bool // the system may refuse
	failed int  // requests
}

// held is a span as the model knows it.
type held struct {
	id    units.SpanID
	first units.PageID
	n     units.Pages
	class units.ClassID
	hint  Hint
	stamp uint64
}

// Operations; the first ones, most of the range of a byte, allocate and free small spans.
const (
	opSmall = iota
	opBatch
	opMedium
	opLarge
	opAligned
	opFree
	opFreeBatch
	opResize
	opRelease
	opBackground
	opTidy
	opFail
	opCheck
	numOps
)

// weights of the operations, in 64ths.
var weights = [numOps]int{opSmall: 12, opBatch: 4, opMedium: 6, opLarge: 2, opAligned: 4, opFree: 17, opFreeBatch: 2, opResize: 8, opRelease: 3, opBackground: 1, opTidy: 2, opFail: 2, opCheck: 1}

// maxLive bounds what a model holds, in pages: 256 MiB of addresses.
const maxLive = 32 << 10

func newModel(t testing.TB, o Options) *model {
	h := newHeap(t, o)
	return &model{t: t, h: h}
}

func newHeap(t testing.TB, o Options) *Heap {
	t.Helper()
	h := new(Heap)
	if !h.Init(o) {
		t.Fatal("no window")
	}
	t.Cleanup(h.Unmap)
	return h
}

// step does one operation that three bytes describe.
func (m *model) step(op, a, b byte) {
	m.t.Helper()
	m.steps++
	v := int(a)<<8 | int(b)
	w := int(op) % 64
	for o := range weights {
		if w -= weights[o]; w < 0 {
			m.do(o, v)
			break
		}
	}
	var st Stats
	m.h.Stats(&st)
	if st.Mapped != st.Accounted() {
		m.t.Fatalf("step %d: mapped %d, accounted %d: %+v", m.steps, st.Mapped, st.Accounted(), st)
	}
}

func (m *model) do(op, v int) {
	m.t.Helper()
	switch op {
	case opSmall:
		c := units.ClassID(1 + v%(sizeclass.NumClasses-1))
		m.alloc(op, sizeclass.Pages(c), 1, c)
	case opBatch:
		m.allocBatch(units.ClassID(1+v/MaxBatch%(sizeclass.NumClasses-1)), 1+v%MaxBatch)
	case opMedium:
		m.alloc(op, units.Pages(1+v%300), 1, 0)
	case opLarge:
		m.alloc(op, units.Pages(200+v%1400), 1, 0)
	case opAligned:
		m.alloc(op, units.Pages(1+v/16%700), 1<<(v%12), 0)
	case opFree:
		m.free(v, 1)
	case opFreeBatch:
		m.free(v, 2+v%40)
	case opResize:
		m.resize(v)
	case opRelease:
		max := units.Bytes(1+v%512) << 14
		if v%16 == 0 {
			max = ^units.Bytes(0)
		}
		if m.h.Release(max, v%3 != 0) > 0 {
			m.ops[op]++
		}
	case opBackground:
		m.clock += int64(v) << 19
		if m.h.Background(m.clock, Calm) > 0 {
			m.ops[op]++
		}
	case opTidy:
		m.brief += int64(v) << 10 // up to 67 ms
		m.clock += int64(v) << 10
		if m.h.Tidy(m.brief, 50*m.brief) > 0 {
			m.ops[op]++
		}
		if v%4 == 0 {
			m.h.Collapse(m.clock)
		}
	case opFail:
		m.fail(v)
	case opCheck:
		m.check()
	}
}

func (m *model) check() {
	m.t.Helper()
	m.ops[opCheck]++
	if d := m.h.Check(); d != "" {
		m.t.Fatalf("step %d: %s", m.steps, d)
	}
}

func (m *model) pagesLive() (n units.Pages) {
	for i := range m.live {
		n += m.live[i].n
	}
	return n
}

func (m *model) alloc(op int, n, align units.Pages, c units.ClassID) {
	m.t.Helper()
	if m.pagesLive()+n > maxLive {
		m.free(int(n), 8)
		return
	}
	var id units.SpanID
	var zeroed bool
	hint := HintNone
	h := m.h.Node(uint32(m.steps) % m.h.Nodes())
	if c != 0 && m.steps%3 == 0 {
		hint = 1 + Hint(m.steps/3)%(Hints-1)
		id, zeroed = h.AllocHidden(n, c, hint)
	} else if c != 0 {
		id, zeroed = h.Alloc(n, c, sizeclass.Of(c).Objects)
	} else if align > 1 {
		hint = Hint(n % Hints)
		id, zeroed = h.AllocHinted(n, align, hint)
	} else if m.steps%2 == 0 {
		id, zeroed = h.AllocRoomy(n)
	} else {
		id, zeroed = h.Alloc(n, 0, 1)
	}
	if id == 0 && m.faulty {
		m.failed++
		return
	}
	if id == 0 {
		m.t.Fatalf("step %d: no memory for %d pages", m.steps, n)
	}
	m.ops[op]++
	m.got(h, id, zeroed, n, align, c, hint)
}

// allocBatch asks for up to n spans of class c.
func (m *model) allocBatch(c units.ClassID, n int) {
	m.t.Helper()
	pages := sizeclass.Pages(c)
	if m.pagesLive()+units.Pages(n)*pages > maxLive {
		m.free(n, 8)
		return
	}
	h := m.h.Node(uint32(m.steps) % m.h.Nodes())
	ids := make([]units.SpanID, n)
	got, zeroed := h.AllocBatch(c, ids)
	if got == 0 && m.faulty {
		m.failed++
		return
	}
	if got == 0 || got > n || zeroed>>got != 0 {
		m.t.Fatalf("step %d: asked for %d spans of class %d, got %d, zeroed %b", m.steps, n, c, got, zeroed)
	}
	if got > 1 {
		m.ops[opBatch]++
	}
	for i, id := range ids[:got] {
		m.got(h, id, zeroed>>i&1 != 0, pages, 1, c, HintNone)
	}
}

// got takes note of a span that heap h handed out, as it was asked for.
func (m *model) got(h *Heap, id units.SpanID, zeroed bool, n, align units.Pages, c units.ClassID, hint Hint) {
	m.t.Helper()
	s := m.h.Span(id)
	if s.Pages != n || s.Class != c || Hint(s.Hint) != hint || m.h.Addr(id)%(uintptr(align)<<units.PageShift) != 0 {
		m.t.Fatalf("step %d: asked for %d pages of class %d aligned to %d, got %+v", m.steps, n, c, align, *s)
	}
	m.verifyNode(h, s.First, n)
	x := held{id: id, first: s.First, n: n, class: c, hint: hint, stamp: (uint64(m.steps)<<32+uint64(id))*0x9e3779b97f4a7c15 | 1}
	m.own(x.first, n, 0, id)
	if zeroed {
		m.verifyZero(x)
	}
	m.write(x)
	m.verifyMap(x)
	m.live = append(m.live, x)
}

// own changes the owner of n pages, which must be the given one.
func (m *model) own(first units.PageID, n units.Pages, from, to units.SpanID) {
	m.t.Helper()
	if need := int(first) + int(n); need > len(m.owner) {
		m.owner = append(m.owner, make([]units.SpanID, need-len(m.owner)+1024)...)
	}
	for p := first; p < first+units.PageID(n); p++ {
		if m.owner[p] != from {
			m.t.Fatalf("step %d: page %d belongs to span %d, not %d", m.steps, p, m.owner[p], from)
		}
		m.owner[p] = to
	}
}

func (m *model) addr(x held) uintptr { return m.h.Space().Addr(x.first) }

// lastWord is the address of the last word of x.
func (m *model) lastWord(x held) uintptr {
	return m.addr(x) + uintptr(x.n)<<units.PageShift - 8
}

// write leaves a pattern in the span's first and last words and at the start of each seventh page.
func (m *model) write(x held) {
	for p := units.Pages(0); p < x.n; p += 7 {
		sys.Store64(m.addr(x)+uintptr(p)<<units.PageShift, x.stamp+uint64(p))
	}
	sys.Store64(m.lastWord(x), x.stamp)
}

func (m *model) verify(x held) {
	m.t.Helper()
	for p := units.Pages(0); p < x.n; p += 7 {
		if sys.Load64(m.addr(x)+uintptr(p)<<units.PageShift) != x.stamp+uint64(p) {
			m.t.Fatalf("step %d: page %d of %+v was overwritten", m.steps, p, x)
		}
	}
	if sys.Load64(m.lastWord(x)) != x.stamp {
		m.t.Fatalf("step %d: the end of %+v was overwritten", m.steps, x)
	}
}

// verifyZero reads all that the model ever writes on a page: its first and last word.
func (m *model) verifyZero(x held) {
	m.t.Helper()
	for a := m.addr(x); a < m.lastWord(x); a += units.PageSize {
		if sys.Load64(a)|sys.Load64(a+units.PageSize-8) != 0 {
			m.t.Fatalf("step %d: %+v was called zero and is not at %x", m.steps, x, a)
		}
	}
}

// verifyMap looks the span up by its first, a middle and its last byte.
func (m *model) verifyMap(x held) {
	m.t.Helper()
	size := uintptr(x.n) << units.PageShift
	for _, off := range [...]uintptr{0, size / 2, size - 1} {
		if got := m.h.SpanOf(m.addr(x) + off); got != x.id {
			m.t.Fatalf("step %d: %+v at offset %d is span %d", m.steps, x, off, got)
		}
	}
	want := x.class
	if x.hint != HintNone {
		want = 0
	}
	if m.h.Pages().Class(x.first) != want {
		m.t.Fatalf("step %d: %+v has class %d in the page map", m.steps, x, m.h.Pages().Class(x.first))
	}
}

func (m *model) free(v, n int) {
	m.t.Helper()
	var ids []units.SpanID
	newest := n > 1 && v&1 != 0 // those that may lie in a row
	for ; n > 0 && len(m.live) > 0; n-- {
		i := v % len(m.live)
		if newest {
			i = len(m.live) - 1
		}
		x := m.live[i]
		m.live[i] = m.live[len(m.live)-1]
		m.live = m.live[:len(m.live)-1]
		m.verify(x)
		m.verifyMap(x)
		m.own(x.first, x.n, x.id, 0)
		ids = append(ids, x.id)
		v = (v*7 + 1) & 0xffff
	}
	if len(ids) == 1 {
		m.ops[opFree]++
		m.h.Free(ids[0])
	} else if len(ids) > 1 {
		m.ops[opFreeBatch]++
		for i := range m.h.Nodes() {
			if own := m.ofNode(ids, i); len(own) > 0 {
				m.h.Node(i).FreeBatch(own)
			}
		}
	}
}

func (m *model) resize(v int) {
	m.t.Helper()
	if len(m.live) == 0 {
		return
	}
	x := &m.live[v%len(m.live)]
	n := units.Pages(1 + (v*31)%int(2*x.n+40))
	if v%5 == 0 {
		n = (x.n + 255) &^ 255 // to the hugepage's end
	}
	if !m.h.TryResize(x.id, n) {
		if x.class == 0 && n <= x.n {
			m.t.Fatalf("step %d: could not shrink %+v to %d", m.steps, *x, n)
		}
		if m.h.Span(x.id).Pages != x.n {
			m.t.Fatalf("step %d: a failed resize changed %+v", m.steps, *x)
		}
		return
	}
	if x.class != 0 {
		m.t.Fatalf("step %d: resized small span %+v", m.steps, *x)
	}
	m.ops[opResize]++
	m.verify(held{id: x.id, first: x.first, n: min(n, x.n) - (min(n, x.n)-1)%7, stamp: x.stamp}.untilLast(m))
	if n > x.n {
		m.own(x.first+units.PageID(x.n), n-x.n, 0, x.id)
	} else {
		m.own(x.first+units.PageID(n), x.n-n, x.id, 0)
	}
	x.n = n
	m.verifyNode(m.h.Node(m.h.NodeAt(m.addr(*x))), x.first, n)
	m.write(*x)
	m.verifyMap(*x)
}

// untilLast makes verify accept a span whose end moved: its last word is written first.
func (x held) untilLast(m *model) held {
	sys.Store64(m.lastWord(x), x.stamp)
	return x
}

// fail makes the window's growth fail and expects every structure as before.
func (m *model) fail(v int) {
	m.t.Helper()
	var before, after Stats
	m.h.Stats(&before)
	h := m.h.Node(uint32(v) % m.h.Nodes())
	limit := h.maxBytes
	h.maxBytes = before.Mapped
	n := units.Pages(before.Mapped>>units.PageShift) + 1 + units.Pages(v)
	align := units.Pages(1) << (v % 20)
	if id, _ := h.AllocAligned(n, align); id != 0 {
		m.t.Fatalf("step %d: %d pages were found in a smaller heap", m.steps, n)
	}
	h.maxBytes = limit
	m.h.Stats(&after)
	if after.Meta = before.Meta; before != after && !m.faulty { // one more span id may have been made
		m.t.Fatalf("step %d: a failure changed %+v to %+v", m.steps, before, after)
	}
	m.ops[opFail]++
}

// finish frees everything and expects an empty heap.
func (m *model) finish() {
	m.t.Helper()
	m.check()
	m.free(1, len(m.live))
	m.check()
	var st Stats
	m.h.Stats(&st)
	if st.Small+st.Large+st.FillerFree+st.FillerReleased != 0 || st.SpansAllocated != st.SpansFreed {
		m.t.Fatalf("an emptied heap holds %+v", st)
	}
	m.h.Release(^units.Bytes(0), true)
	m.check()
	if m.h.Stats(&st); m.faulty {
		return
	}
	if st.Cache != 0 || st.Unbacked != st.Mapped {
		m.t.Fatalf("a released heap keeps %+v", st)
	}
}
