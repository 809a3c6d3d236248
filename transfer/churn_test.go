package transfer

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// churnClasses have objects of 8 bytes to 256 KiB, from 1024 to a span down to one.
var churnClasses = []units.ClassID{1, 2, 3, 25, 39, 60, 86, 87}

// churn allocates and frees at random and knows which objects are out.
type churn struct {
	t    testing.TB
	k    *Tier
	r    *rand.Rand
	out  [sizeclass.NumClasses][]uintptr
	live map[uintptr]bool

	mayFail bool // memory may be short
	failed  int  // requests
}

func newChurn(t testing.TB, k *Tier, r *rand.Rand) *churn {
	return &churn{t: t, k: k, r: r, live: map[uintptr]bool{}}
}

func (m *churn) class() units.ClassID { return churnClasses[m.r.IntN(len(churnClasses))] }

// mayRemove bounds what is out.
func (m *churn) mayRemove(c units.ClassID) bool { return len(m.out[c]) < 4000 }

// remove takes up to a batch, and returns what it got.
func (m *churn) remove(c units.ClassID) []uintptr {
	m.t.Helper()
	var buf [centralfreelist.MaxBatch]uintptr
	n := m.k.Remove(c, buf[:], 1+m.r.IntN(len(buf)))
	if n == 0 && m.mayFail {
		m.failed++
		return nil
	}
	require.Positive(m.t, n)
	for _, p := range buf[:n] {
		require.False(m.t, m.live[p], "%#x was handed out twice", p)
		m.live[p] = true
	}
	m.out[c] = append(m.out[c], buf[:n]...)
	return m.out[c][len(m.out[c])-n:]
}

// insert gives up to a batch back, the first of those out, sometimes in the name of another domain.
func (m *churn) insert(c units.ClassID) {
	m.t.Helper()
	var buf [centralfreelist.MaxBatch]uintptr
	n := copy(buf[:], m.out[c][:min(len(m.out[c]), 1+m.r.IntN(len(buf)))])
	if n > 0 {
		m.out[c] = m.out[c][n:]
	}
	for _, p := range buf[:n] {
		delete(m.live, p)
	}
	first := buf[0] // a tier of several nodes changes the order
	from := uint32(none)
	if all := m.k.Domains(); all > 1 && m.r.IntN(4) == 0 {
		from = uint32(1 + m.r.IntN(all))
	}
	require.Zero(m.t, m.k.InsertFrom(from, c, buf[:n]))
	if n > 0 && !m.k.Holds(c, first) {
		id := m.k.Central.Pages.SpanAt(first)
		require.True(m.t, id == 0 || m.k.Central.IsFree(c, id, first), "a span that emptied, or the object in it")
	}
}

// step does an operation at random, on class c if it is of one: of 100, the first so many take objects, those up to 94 give
// some back.
func (m *churn) step(c units.ClassID, takes int) {
	m.t.Helper()
	switch op := m.r.IntN(100); {
	case op < takes && m.mayRemove(c):
		m.remove(c)
	case op < 94:
		m.insert(c)
	case op < 97:
		m.k.Plunder()
	case op < 99:
		m.k.Rebalance()
	default:
		m.k.Drain()
	}
}

// held is how many objects of each class are out.
func held(out *[sizeclass.NumClasses][]uintptr) *[sizeclass.NumClasses]int {
	var n [sizeclass.NumClasses]int
	for c := range out {
		n[c] = len(out[c])
	}
	return &n
}

// giveAllBack expects every object to be in its span, and the page heap to be whole, once all that is out and all
// that is cached has gone back.
func giveAllBack(t testing.TB, k *Tier, out *[sizeclass.NumClasses][]uintptr) {
	t.Helper()
	for c := range out {
		insert(t, k, units.ClassID(c), out[c])
	}
	k.Drain()
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		require.Zero(t, outstanding(k, c), "class %d", c)
	}
	require.Empty(t, k.Central.Pages.Check())
}
