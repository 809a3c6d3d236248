package alloc

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// Objects with and without hints, of all sizes, live, move and are freed beside each other: they keep their contents and
// their hint, no page has objects of two hints, and nothing with a hint is stashed.
func TestHintedObjectsKeepApart(t *testing.T) {
	if debugByTag {
		t.Skip("hints mean nothing in debug mode")
	}
	before := ReadStats()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	type object struct {
		b    []byte
		hint Hint
		fill byte
	}
	var live []object
	check := func(o object) {
		require.Equal(t, pageheap.Hint(o.hint), core.Hint(uintptr(base(o.b))))
		require.True(t, o.b[0] == o.fill && o.b[len(o.b)/2] == o.fill && o.b[len(o.b)-1] == o.fill, "%d bytes damaged", len(o.b))
	}
	paintAll := func(b []byte, c byte) { b[0], b[len(b)/2], b[len(b)-1] = c, c, c }
	hintOf := map[uintptr]Hint{}
	for i := range 20_000 {
		switch k := r.IntN(10); {
		case k < 5 || len(live) == 0:
			n := 1 + r.IntN(1<<(2+r.IntN(15)))
			if r.IntN(50) == 0 {
				n += r.IntN(3 << 20)
			}
			h, align, zeroed := Hint(r.IntN(4)), uintptr(1)<<r.IntN(14), r.IntN(2) == 0
			p, err := h.Alloc(uintptr(n), align, zeroed)
			require.NoError(t, err)
			require.Zero(t, uintptr(p)&(align-1))
			require.GreaterOrEqual(t, UsableSize(p), uintptr(n))
			o := object{unsafe.Slice((*byte)(p), n), h, byte(i)}
			if zeroed {
				require.Equal(t, -1, differs(o.b, 0))
			}
			paintAll(o.b, o.fill)
			live = append(live, o)
		case k < 6:
			o := &live[r.IntN(len(live))]
			check(*o)
			n := 1 + r.IntN(2*len(o.b))
			p, err := Realloc(base(o.b), uintptr(n))
			require.NoError(t, err)
			require.Equal(t, o.fill, *(*byte)(p))
			o.b = unsafe.Slice((*byte)(p), n)
			paintAll(o.b, o.fill)
		default:
			k := r.IntN(len(live))
			check(live[k])
			if n := uintptr(len(live[k].b)); r.IntN(2) == 0 || UsableSize(base(live[k].b)) != RoundSize(n) { // aligned
				FreeSlice(live[k].b)
			} else {
				FreeSized(base(live[k].b), uintptr(len(live[k].b)))
			}
			live[k] = live[len(live)-1]
			live = live[:len(live)-1]
		}
		if i%1000 == 0 {
			clear(hintOf)
			for _, o := range live {
				page := uintptr(base(o.b)) &^ (units.PageSize - 1)
				h, seen := hintOf[page]
				require.True(t, !seen || h == o.hint, "a page has objects of hints %d and %d", h, o.hint)
				hintOf[page] = o.hint
			}
			for v := range stashes.high.Load() {
				s := stashAt(stashes.table + v<<stashShift)
				for _, w := range s.entries[:s.top] {
					require.Equal(t, pageheap.HintNone, core.Hint(w&^(units.PageSize-1)))
				}
			}
		}
	}
	for _, o := range live {
		check(o)
		FreeSlice(o.b)
	}
	after := ReadStats()
	require.Equal(t, before.Usable, after.Usable)
	require.Equal(t, before.Objects, after.Objects)
}

// A hint is a region: what the typed functions make there grows in place or by moving, and is freed one by one; arenas
// have their chunks there.
func TestHintsAreRegions(t *testing.T) {
	if debugByTag {
		t.Skip("hints mean nothing in debug mode")
	}
	before := ReadStats().Usable
	type node struct{ Next OffHeapPtr[node] }
	n, err := NewIn[node](Cold)
	require.NoError(t, err)
	require.Equal(t, pageheap.HintCold, core.Hint(uintptr(unsafe.Pointer(n))))
	s, err := MakeIn[int](LongLived, 0, 10)
	require.NoError(t, err)
	for i := range 100_000 {
		s, err = Append(s, i)
		require.NoError(t, err)
	}
	require.Equal(t, pageheap.HintLong, core.Hint(uintptr(unsafe.Pointer(&s[0]))))
	require.Equal(t, 77_777, s[77_777])
	none, err := MakeIn[int](Cold, 0, 0)
	require.NoError(t, err)
	FreeSlice(none)
	_, err = NewIn[*int](Cold)
	require.Error(t, err)
	_, err = Cold.Alloc(8, 24, false)
	require.ErrorIs(t, err, ErrAlignment)
	_, err = Cold.Malloc(1 << 60)
	require.ErrorIs(t, err, ErrOutOfMemory)
	_, err = Cold.MallocSlice(-1)
	require.Error(t, err)
	p, err := Cold.Malloc(0)
	require.NoError(t, err)
	require.NotZero(t, UsableSize(p), "an object of its own, as from Malloc")
	Free(p)

	a := ShortLived.NewArena(0)
	sub := a.Sub(0)
	shared := ShortLived.NewSharedArena(1 << 20)
	for _, r := range []Region{a, sub, shared} {
		for range 20 {
			b, err := MakeIn[byte](r, 30<<10, 30<<10)
			require.NoError(t, err)
			require.Equal(t, -1, differs(b, 0))
		}
	}
	for _, x := range []*Arena{a, sub, &shared.arena} {
		for _, c := range x.chunks {
			require.Equal(t, pageheap.HintShort, core.Hint(c.at))
		}
	}
	a.Free()
	shared.Free()
	FreeOf(n)
	FreeSlice(s)
	require.Equal(t, before, ReadStats().Usable)
}
