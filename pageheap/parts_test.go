package pageheap

import (
	"math/rand/v2"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/units"
)

func TestDecay(t *testing.T) {
	const s = int64(1e9)
	for _, c := range []struct {
		name       string
		low, owed  uint32
		elapsed    int64
		n, restMin uint32
	}{
		{"nothing unused", 0, 500, s, 0, 0},
		{"clock went back", 10, 7, -s, 0, 7},
		{"half in a half-life", 100, 0, 5 * s, 50, 0},
		{"three quarters in two", 100, 0, 10 * s, 75, 0},
		{"a tenth in a second", 100, 0, s, 10, 0},
		{"one hugepage: owed", 1, 0, s, 0, 102},
		{"one hugepage: paid", 1, 950, s, 1, 28},
		{"all but 1/4096 in a minute", 4096, 0, 60 * s, 4095, 0},
		{"long sleep", 4096, 0, 1 << 62, 4095, 0},
		{"never more than unused", 1, 1 << 20, 60 * s, 1, 0},
		{"largest window", maxHuge, 0, 5 * s, maxHuge / 2, 0},
	} {
		n, rest := decay(c.low, c.owed, c.elapsed)
		if n != c.n || rest < c.restMin || rest >= owedUnit {
			t.Errorf("%s: %d, rest %d", c.name, n, rest)
		}
	}
}

func TestBitmapAgreesWithBools(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var b bitmap
	var want [perHuge]bool
	for range 5000 {
		i := r.Uint32N(perHuge)
		n := r.Uint32N(perHuge - i + 1)
		if set := r.IntN(2) == 0; set {
			b.set(i, n)
			for k := i; k < i+n; k++ {
				want[k] = true
			}
		} else {
			b.clear(i, n)
			for k := i; k < i+n; k++ {
				want[k] = false
			}
		}
		q := r.Uint32N(perHuge + 1)
		nextSet, nextClear, after := q, q, q
		for nextSet < perHuge && !want[nextSet] {
			nextSet++
		}
		for nextClear < perHuge && want[nextClear] {
			nextClear++
		}
		for after > 0 && !want[after-1] {
			after--
		}
		count, run, longest := uint32(0), uint32(0), uint32(0)
		for k, w := range want {
			if w && uint32(k) >= i && uint32(k) < i+n {
				count++
			}
			if run++; w {
				run = 0
			}
			longest = max(longest, run)
		}
		if b.nextSet(q) != nextSet || b.nextClear(q) != nextClear || b.afterPrevSet(q) != after ||
			b.count(i, n) != count || b.all(i, n) != (count == n) || b.longestClear() != longest {
			t.Fatalf("%x at %d: %d %d %d, want %d %d %d", b, q, b.nextSet(q), b.nextClear(q), b.afterPrevSet(q), nextSet, nextClear, after)
		}
	}
}

func TestChunkHalvesWithEachDoubling(t *testing.T) {
	for allocs, want := range map[uint16]uint32{1: 7, 2: 6, 3: 5, 4: 5, 5: 4, 8: 4, 16: 3, 32: 2, 64: 1, 65: 0, 255: 0} {
		if got := chunk(allocs); got != want {
			t.Errorf("chunk(%d) = %d, want %d", allocs, got, want)
		}
	}
}

func TestCacheAgreesWithBytes(t *testing.T) {
	const size = 9000 // three words of summary
	r := rand.New(rand.NewPCG(2, 2))
	c := new(cache)
	var want [size]kind
	for range 3000 {
		first := r.Uint32N(size)
		n := min(1+r.Uint32N(1<<r.IntN(12)), size-first)
		k := []kind{0, kindBacked, kindUnbacked}[r.IntN(3)]
		c.take(units.HugePageID(first), n)
		if k != 0 {
			c.add(units.HugePageID(first), n, k)
		}
		for i := first; i < first+n; i++ {
			want[i] = k
		}
		q, ask := r.Uint32N(size), kind(1+r.IntN(3))
		next, end, before, last := q, q, uint32(0), q
		for next < size && want[next]&ask == 0 {
			next++
		}
		if next == size {
			next = maxHuge
		}
		for end < size && want[end]&ask != 0 {
			end++
		}
		for before < q && before < 300 && want[q-before-1]&ask != 0 {
			before++
		}
		for last > 0 && want[last-1] != kindBacked {
			last--
		}
		if last == 0 {
			last = maxHuge + 1
		}
		if c.next(q, ask) != next || c.end(q, ask) != end || c.before(q, 300, ask) != before || c.lastBacked(q) != last-1 {
			t.Fatalf("at %d: next %d end %d before %d last %d, want %d %d %d %d", q,
				c.next(q, ask), c.end(q, ask), c.before(q, 300, ask), c.lastBacked(q), next, end, before, last-1)
		}
	}
}

func TestFindIsBestFitThenLowest(t *testing.T) {
	c := new(cache)
	c.add(10, 8, kindBacked)
	c.add(30, 4, kindBacked)
	c.add(50, 4, kindBacked)
	c.add(54, 2, kindUnbacked)
	for _, x := range []struct {
		n, align uint32
		base     uint64
		k        kind
		first    units.HugePageID
		ok       bool
	}{
		{3, 1, 0, kindBacked, 30, true},
		{5, 1, 0, kindBacked, 10, true},
		{9, 1, 0, kindBacked, 0, false},
		{6, 1, 0, kindAny, 50, true},
		{4, 4, 0, kindBacked, 12, true},
		{4, 4, 2, kindBacked, 30, true},
		{2, 1, 0, kindUnbacked, 54, true},
	} {
		if first, ok := c.find(x.n, x.align, x.base, x.k); ok != x.ok || ok && first != x.first {
			t.Errorf("%+v: %d %v", x, first, ok)
		}
	}
}

func BenchmarkAllocFreeOnePage(b *testing.B) {
	h := newHeap(b, Options{LifetimeFiller: true})
	h.Alloc(1, 1, 512) // keeps the hugepage in the filler
	for b.Loop() {
		id, _ := h.Alloc(1, 1, 512)
		h.Free(id)
	}
}

func BenchmarkAllocFreeFragmented(b *testing.B) {
	h := newHeap(b, Options{})
	r := rand.New(rand.NewPCG(3, 3))
	ids := make([]units.SpanID, 20000)
	for i := range ids {
		ids[i] = must(b, h, units.Pages(1+r.IntN(8)))
	}
	for i := 0; b.Loop(); i++ {
		k := r.IntN(len(ids))
		h.Free(ids[k])
		ids[k], _ = h.Alloc(units.Pages(1+r.IntN(8)), 0, 1)
	}
}
