package pagemap

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// newMap covers the first n pages of a space of its own.
func newMap(t testing.TB, n units.Pages) *Map {
	t.Helper()
	s, m := new(vm.Space), new(Map)
	if !s.Init(1) {
		t.Fatal("no address range")
	}
	t.Cleanup(s.Free)
	m.Init(s)
	if !m.Ensure(s, n) {
		t.Fatal("refused")
	}
	return m
}

func TestNewEntriesAreEmpty(t *testing.T) {
	const n = 100_000
	m := newMap(t, n)
	for p := units.PageID(0); p < n; p++ {
		if m.Class(p) != 0 || m.Span(p) != 0 {
			t.Fatalf("page %d: class %d, span %d", p, m.Class(p), m.Span(p))
		}
	}
}

func TestEnsureKeepsEntriesAndFailsBeyondTheWindow(t *testing.T) {
	s, m := new(vm.Space), new(Map)
	if !s.Init(1) {
		t.Fatal("no address range")
	}
	t.Cleanup(s.Free)
	m.Init(s)
	classes, spans := m.ClassTable(), m.SpanTable()
	last := units.PageID(0)
	for n := units.Pages(1); n < 1<<22; n *= 3 {
		if !m.Ensure(s, n) {
			t.Fatal("refused", n)
		}
		last = units.PageID(n - 1)
		m.Set(last, 1, 5, units.SpanID(n))
	}
	for n := units.Pages(1); n < 1<<22; n *= 3 {
		if p := units.PageID(n - 1); m.Class(p) != 5 || m.Span(p) != units.SpanID(n) {
			t.Errorf("page %d lost its entry", p)
		}
	}
	if m.ClassTable() != classes || m.SpanTable() != spans {
		t.Error("a table moved")
	}
	if m.Ensure(s, s.MaxPages()+1<<20) { // the tables end with a hugepage
		t.Error("entries beyond the window")
	}
	if m.Span(last) == 0 {
		t.Error("a refusal cost an entry")
	}
}

func TestLargeSpansRegisterOnTheFirstPageOnly(t *testing.T) {
	m := newMap(t, 4096)
	m.Set(10, 4000, 0, 77)
	for p := units.PageID(0); p < 4096; p++ {
		want := units.SpanID(0)
		if p == 10 {
			want = 77
		}
		if m.Class(p) != 0 || m.Span(p) != want {
			t.Fatalf("page %d: class %d, span %d", p, m.Class(p), m.Span(p))
		}
	}
	m.Clear(10, 4000, 0)
	if m.Span(10) != 0 {
		t.Error("still registered")
	}
}

type entry struct {
	pages units.Pages
	class units.ClassID
	id    units.SpanID
}

// run interprets ops, four bytes each, as spans that come and go, and compares each page with a map.
func run(t *testing.T, ops []byte) {
	const size = 1024
	m := newMap(t, size)
	spans := map[units.PageID]entry{}
	classes, ids := map[units.PageID]units.ClassID{}, map[units.PageID]units.SpanID{}
	for next := units.SpanID(1); len(ops) >= 4; next, ops = next+1, ops[4:] {
		first := units.PageID(binary.LittleEndian.Uint16(ops)) % size
		if e, ok := spans[first]; ok {
			m.Clear(first, e.pages, e.class)
			delete(spans, first)
			for p := first; p < first+units.PageID(e.pages); p++ {
				delete(classes, p)
				delete(ids, p)
			}
			continue
		}
		e := entry{pages: units.Pages(ops[2])%40 + 1, class: units.ClassID(ops[3]), id: next * 0x10001}
		if e.class%4 == 0 {
			e.class, e.pages = 0, units.Pages(ops[2])+1
		}
		free := uint32(first)+uint32(e.pages) <= size
		for f, o := range spans {
			free = free && (uint32(f)+uint32(o.pages) <= uint32(first) || uint32(first)+uint32(e.pages) <= uint32(f))
		}
		if !free {
			continue
		}
		m.Set(first, e.pages, e.class, e.id)
		spans[first] = e
		ids[first] = e.id
		for p := first; e.class != 0 && p < first+units.PageID(e.pages); p++ {
			classes[p], ids[p] = e.class, e.id
		}
	}
	for p := units.PageID(0); p < size; p++ {
		if m.Class(p) != classes[p] || m.Span(p) != ids[p] {
			t.Fatalf("page %d: class %d, span %d; want %d, %d", p, m.Class(p), m.Span(p), classes[p], ids[p])
		}
	}
}

func TestMapAgreesWithAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		ops := make([]byte, 4*(1+r.IntN(500)))
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		t.Run("", func(t *testing.T) { run(t, ops) }) // whose space ends with it
	}
}

func FuzzMap(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 0, 3, 2, 0, 0, 0, 0})
	f.Add([]byte{9, 0, 200, 4, 210, 0, 255, 0, 9, 0, 0, 0, 9, 0, 39, 255})
	f.Fuzz(func(t *testing.T, ops []byte) { run(t, ops[:min(len(ops), 4000)]) })
}
