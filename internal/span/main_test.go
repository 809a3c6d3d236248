package span

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// memory maps zeroed memory for one span of class c, between pages without access.
func memory(t testing.TB, c units.ClassID) uintptr {
	t.Helper()
	page := uintptr(os.Getpagesize())
	n := uintptr(sizeclass.Pages(c)) << units.PageShift
	a, e := sys.Mmap(0, n+2*page, sys.ProtNone, sys.MapPrivate)
	if e != 0 {
		t.Fatal("mmap:", e)
	}
	t.Cleanup(func() { sys.Munmap(a, n+2*page) })
	allow(t, a+page, n, sys.ProtRead|sys.ProtWrite)
	return a + page
}

func allow(t testing.TB, a, n, prot uintptr) {
	t.Helper()
	if e := sys.Mprotect(a, n, prot); e != 0 {
		t.Fatal("mprotect:", e)
	}
}

// eachClass runs f for every size class.
func eachClass(t *testing.T, f func(t *testing.T, c units.ClassID)) {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		t.Run(fmt.Sprintf("%d bytes", sizeclass.Size(c)), func(t *testing.T) { f(t, c) })
	}
}

func tiny(c units.ClassID) bool { return sizeclass.Size(c) <= tinyMax }

// model is a span and what is known of each of its objects.
type model struct {
	t     *testing.T
	s     Span
	base  uintptr
	size  uintptr
	c     units.ClassID
	live  []bool // handed out
	used  []bool // ever handed out
	out   []int  // indexes of those handed out
	fresh int    // how many were never handed out
}

func newModel(t *testing.T, c units.ClassID) *model {
	n := sizeclass.Objects(c)
	m := &model{t: t, base: memory(t, c), size: sizeclass.Size(c), c: c, live: make([]bool, n), used: make([]bool, n), fresh: int(n)}
	m.s.Init(1234, sizeclass.Pages(c), c)
	return m
}

// The front end marks a freed object in its first word.
func marked(p uintptr) uint64 { return ^uint64(p) }

// pop takes n objects and checks each.
func (m *model) pop(n int) {
	m.t.Helper()
	objects := make([]uintptr, n)
	free := len(m.live) - len(m.out)
	got := m.s.Pop(m.base, objects, n)
	if got != min(n, free) {
		m.t.Fatalf("%d popped of %d, %d free", got, n, free)
	}
	for k, p := range objects {
		if k >= got {
			if p != 0 {
				m.t.Fatal("written behind the last object")
			}
			continue
		}
		i := int((p - m.base) / m.size)
		if (p-m.base)%m.size != 0 || p < m.base || i >= len(m.live) {
			m.t.Fatalf("offset %d is no object", p-m.base)
		}
		if m.live[i] {
			m.t.Fatalf("object %d was handed out twice", i)
		}
		m.checkMemory(i, p)
		if !m.used[i] {
			m.fresh--
		}
		m.live[i], m.used[i] = true, true
		m.out = append(m.out, i)
		for at := p; at < p+m.size; at += max(m.size/4&^7, 8) {
			sys.Store64(at, uint64(at)*3)
		}
	}
	m.checkCounts()
}

// checkMemory: a span writes nowhere but in the last word of a free object of a tiny class, once it has been
// handed out.
func (m *model) checkMemory(i int, p uintptr) {
	m.t.Helper()
	want := uint64(0)
	if m.used[i] {
		want = marked(p)
	}
	if m.size > 8 || !m.used[i] {
		if got := sys.Load64(p); got != want {
			m.t.Fatalf("object %d: the first word is %#x, want %#x", i, got, want)
		}
	}
	if last := p + m.size - 8; m.size > 8 && (!tiny(m.c) || !m.used[i]) {
		want = 0
		if m.used[i] && (m.size-8)%max(m.size/4&^7, 8) == 0 {
			want = uint64(last) * 3
		}
		if got := sys.Load64(last); got != want {
			m.t.Fatalf("object %d: the last word is %#x, want %#x", i, got, want)
		}
	}
}

// push gives back the k-th of those handed out.
func (m *model) push(k int) {
	m.t.Helper()
	i := m.out[k]
	p := m.object(i)
	sys.Store64(p, marked(p))
	one := [1]uintptr{p}
	if n, bad := m.s.Push(m.base, one[:]); n != 1 || bad != 0 {
		m.t.Fatalf("object %d was refused", i)
	}
	m.live[i] = false
	m.out[k] = m.out[len(m.out)-1]
	m.out = m.out[:len(m.out)-1]
	m.checkCounts()
}

func (m *model) object(i int) uintptr { return m.base + uintptr(i)*m.size }

// refuse checks that Push refuses p and changes nothing.
func (m *model) refuse(p uintptr, why string) {
	m.t.Helper()
	before := m.s
	one := [1]uintptr{p}
	if n, bad := m.s.Push(m.base, one[:]); n != 0 || bad != p || m.s != before {
		m.t.Fatalf("offset %d, %s: taken, or the span was changed", p-m.base, why)
	}
}

func (m *model) checkCounts() {
	m.t.Helper()
	s := &m.s
	if int(s.Allocated) != len(m.out) || s.Full() != (len(m.out) == len(m.live)) || s.Empty() != (len(m.out) == 0) {
		m.t.Fatalf("%d allocated, full %v, empty %v; %d of %d are out", s.Allocated, s.Full(), s.Empty(), len(m.out), len(m.live))
	}
	if s.First != 1234 || s.Pages != sizeclass.Pages(m.c) || s.Class != m.c || int(s.Capacity) != len(m.live) {
		m.t.Fatalf("the description changed: %+v", *s)
	}
}

// checkFree asks IsFree of every object.
func (m *model) checkFree() {
	m.t.Helper()
	for i, live := range m.live {
		if m.s.IsFree(m.base, m.object(i)) == live {
			m.t.Fatalf("object %d: free %v, handed out %v", i, !live, live)
		}
	}
}

func (m *model) pushAll(r *rand.Rand) {
	m.t.Helper()
	for len(m.out) > 0 {
		m.push(r.IntN(len(m.out)))
	}
}
