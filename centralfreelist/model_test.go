package centralfreelist

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// newTier is a tier with a page heap of its own.
func newTier(t testing.TB, legacy bool) *Tier {
	t.Helper()
	k := &Tier{Legacy: legacy}
	require.True(t, k.Pages.Init(pageheap.Options{Seed: rand.Uint64(), LifetimeFiller: true}), "no window")
	t.Cleanup(k.Pages.Unmap)
	return k
}

// model drives a tier and knows which objects are out.
type model struct {
	t     testing.TB
	tier  *Tier
	out   [sizeclass.NumClasses][]uintptr
	live  map[uintptr]units.ClassID
	next  uint32 // the node that the next objects come from, modulo nodes
	hint  uint32 // and what is said of them, modulo hints + 1
	hints uint32
	acts  uint32 // and who acts, modulo domains + 1
}

// addNodes makes n nodes of the tier's page heaps.
func (m *model) addNodes(n uint32) {
	m.t.Helper()
	for i := m.tier.Pages.Nodes(); i < n; i++ {
		require.True(m.t, m.tier.AddNode(i))
		require.True(m.t, m.tier.AddNode(i), "again, as when the page heap was refused meanwhile")
		got, ok := m.tier.Pages.AddNode(500 + i)
		require.True(m.t, ok && got == i)
	}
}

func newModel(t testing.TB, legacy bool) *model {
	return &model{t: t, tier: newTier(t, legacy), live: map[uintptr]units.ClassID{}}
}

func (m *model) remove(c units.ClassID, n int) {
	m.t.Helper()
	var buf [MaxBatch]uintptr
	m.next++
	node := m.next % m.tier.Pages.Nodes()
	m.hint++
	hint := pageheap.Hint(m.hint % (m.hints + 1))
	pool := PoolOf(node, hint)
	require.True(m.t, hint == pageheap.HintNone || m.tier.OpenHinted(pool))
	m.acts++
	domain := m.acts % (m.tier.domains + 1)
	got := m.tier.Remove(pool, c, buf[:], n, domain)
	require.True(m.t, got >= 1 && got <= n, "Remove(%d, %d) returned %d", c, n, got)
	for _, p := range buf[:got] {
		require.True(m.t, m.tier.Pages.Contains(p))
		require.Equal(m.t, node, m.tier.Pages.NodeAt(p), "an object of another node")
		_, twice := m.live[p]
		require.False(m.t, twice, "%#x was handed out twice", p)
		s := m.tier.Pages.Span(m.tier.Pages.SpanAt(p))
		require.Equal(m.t, c, s.Class)
		require.EqualValues(m.t, hint, s.Hint, "an object of another hint")
		shown := c
		if hint != pageheap.HintNone {
			shown = 0
		}
		require.Equal(m.t, shown, m.tier.Pages.ClassAt(p))
		m.live[p] = c
	}
	m.out[c] = append(m.out[c], buf[:got]...)
}

// giveBack gives objects of any nodes and hints back, and may change their order.
func giveBack(t *Tier, c units.ClassID, objects []uintptr) (bad uintptr) {
	return giveBackFrom(t, c, objects, 0)
}

// giveBackFrom is giveBack by a domain.
func giveBackFrom(t *Tier, c units.ClassID, objects []uintptr, domain uint32) (bad uintptr) {
	hint := func(p uintptr) pageheap.Hint { return pageheap.Hint(t.Pages.Span(t.Pages.SpanAt(p)).Hint) }
	sort.SliceStable(objects, func(i, j int) bool { return hint(objects[i]) < hint(objects[j]) })
	for len(objects) > 0 {
		same := 1
		for same < len(objects) && hint(objects[same]) == hint(objects[0]) {
			same++
		}
		h := hint(objects[0])
		node, n := t.Split(objects[:same])
		if b := t.Insert(PoolOf(node, h), c, objects[:n], domain); bad == 0 {
			bad = b
		}
		objects = objects[n:]
	}
	return bad
}

// insert gives back n objects of class c, chosen by r.
func (m *model) insert(c units.ClassID, n int, r *rand.Rand) {
	m.t.Helper()
	n = min(n, len(m.out[c]))
	o := m.out[c]
	for i := range n {
		j := r.IntN(len(o) - i)
		o[j], o[len(o)-1-i] = o[len(o)-1-i], o[j]
	}
	batch := o[len(o)-n:]
	m.acts++
	require.Zero(m.t, giveBackFrom(m.tier, c, batch, m.acts%(m.tier.domains+1)))
	for _, p := range batch {
		delete(m.live, p)
	}
	m.out[c] = o[:len(o)-n]
}

// check holds the counters and the lists against the model.
func (m *model) check() {
	m.t.Helper()
	spans, small := uint64(0), units.Bytes(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		var st Stats
		m.tier.Stats(c, &st)
		require.EqualValues(m.t, st.Capacity, uint64(len(m.out[c]))+st.Free, "class %d: out and free objects differ from the capacity", c)
		require.EqualValues(m.t, uint64(st.Spans)*uint64(sizeclass.Objects(c)), st.Capacity)
		require.EqualValues(m.t, st.Spans, st.Fetched-st.Returned)
		if len(m.out[c]) == 0 {
			require.Zero(m.t, st.Spans, "class %d keeps spans of which nothing is out", c)
		}
		require.Empty(m.t, checkLists(m.tier, c, m.live))
		spans += uint64(st.Spans)
		small += units.Bytes(st.Spans) * units.Bytes(sizeclass.Pages(c)) << units.PageShift
	}
	var p pageheap.Stats
	m.tier.Pages.Stats(&p)
	require.Equal(m.t, spans, p.SpansAllocated-p.SpansFreed)
	require.Equal(m.t, small, p.Small)
	require.Empty(m.t, m.tier.Pages.Check())
}

// checkLists returns what is wrong with the sublists of class c.
func checkLists(t *Tier, c units.ClassID, live map[uintptr]units.ClassID) string {
	allocated := map[units.SpanID]uint16{}
	for p, k := range live {
		if k == c {
			allocated[t.Pages.SpanAt(p)]++
		}
	}
	seen := map[units.SpanID]bool{}
	spans := uint32(0)
	for pool := range uint32(pools) {
		if !t.open(pool) {
			continue
		}
		l := &t.on(pool)[c]
		spans += l.spans
		if defect := checkPool(t, pool, l, seen); defect != "" {
			return defect
		}
	}
	for id, n := range allocated {
		s := t.Pages.Span(id)
		if s.Class != c || s.Allocated != n {
			return fmt.Sprintf("a span has %d objects out and counts %d", n, s.Allocated)
		}
		if seen[id] == s.Full() {
			return "a span with room is in no list, or a full one in one"
		}
	}
	if len(allocated) != int(spans) {
		return "spans are lost"
	}
	return ""
}

func checkPool(t *Tier, pool uint32, l *list, seen map[units.SpanID]bool) string {
	if defect := checkShelf(t, pool, &l.shelf, 0, seen); defect != "" {
		return defect
	}
	c := units.ClassID((uintptr(unsafe.Pointer(l)) - uintptr(unsafe.Pointer(t.on(pool)))) / unsafe.Sizeof(*l))
	for d := uint32(1); d <= t.domains && pool < pageheap.MaxNodes; d++ {
		k := t.shelfOf(l, pool, c, d)
		if (k.nonempty != 0) != t.HasOwn(pool, c, d) {
			return "a bit of stocked is wrong"
		}
		if defect := checkShelf(t, pool, k, d, seen); defect != "" {
			return defect
		}
	}
	return ""
}

// checkShelf checks the shelf of a domain; 0: the list's own.
func checkShelf(t *Tier, pool uint32, k *shelf, domain uint32, seen map[units.SpanID]bool) string {
	for i, head := range k.heads {
		if (head != 0) != (k.nonempty>>i&1 != 0) {
			return "a bit of nonempty is wrong"
		}
		prev := units.SpanID(0)
		for id := head; id != 0; prev, id = id, t.Pages.Span(id).Next {
			s := t.Pages.Span(id)
			if seen[id] || s.Prev != prev || int(s.List) != i {
				return "a list is linked wrongly"
			}
			if t.Pages.NodeAt(t.Pages.Addr(id)) != nodeOf(pool) || pageheap.Hint(s.Hint) != hintOf(pool) {
				return "a span is in another pool's list"
			}
			if t.domains != 0 && pool < pageheap.MaxNodes && uint32(s.Origin) != domain {
				return "a span is on another domain's shelf"
			}
			seen[id] = true
			if want := wantList(t, s); want != i {
				return fmt.Sprintf("a span with %d of %d objects out is in list %d instead of %d", s.Allocated, s.Capacity, i, want)
			}
		}
	}
	return ""
}

func wantList(t *Tier, s *span.Span) int {
	switch {
	case s.Full() || s.Empty():
		return -1
	case t.Legacy:
		return 0
	}
	return int(order(s.Allocated, s.Capacity))
}
