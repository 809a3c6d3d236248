package pageheap

import (
	"math/rand/v2"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/units"
)

// series feeds one value a second and returns the demand afterwards.
func series(values ...[2]uint32) *demand {
	d := new(demand)
	now := int64(1e9)
	d.advance(now)
	for _, v := range values {
		for range v[1] {
			d.note(v[0])
			now += 1e9
			d.advance(now)
		}
	}
	return d
}

func TestDemand(t *testing.T) {
	for _, c := range []struct {
		name              string
		d                 *demand
		recent, recurring uint32
	}{
		{"nothing", series(), 0, 0},
		{"constant", series([2]uint32{100, 200}), 100, 0},
		{"rise", series([2]uint32{10, 50}, [2]uint32{50, 50}, [2]uint32{100, 50}), 100, 0},
		{"rise and fall", series([2]uint32{10, 50}, [2]uint32{100, 50}, [2]uint32{10, 50}), 10, 0},
		{"a fall in the middle of a slot", series([2]uint32{100, 53}, [2]uint32{40, 3}, [2]uint32{10, 50}), 10, 0},
		{"recent fall", series([2]uint32{100, 50}, [2]uint32{10, 20}), 100, 0},
		{"a dip", series([2]uint32{100, 50}, [2]uint32{10, 20}, [2]uint32{80, 20}, [2]uint32{10, 50}), 10, 80},
		{"an uneven dip", series([2]uint32{80, 50}, [2]uint32{10, 20}, [2]uint32{100, 20}, [2]uint32{10, 50}), 10, 80},
		{"dips long ago", series([2]uint32{100, 50}, [2]uint32{10, 20}, [2]uint32{80, 20}, [2]uint32{10, 400}), 10, 0},
		{"dips of a second", series([2]uint32{100, 50}, [2]uint32{10, 1}, [2]uint32{90, 1}, [2]uint32{10, 60}), 10, 90},
		{"falling in steps", series([2]uint32{100, 20}, [2]uint32{80, 20}, [2]uint32{60, 20}, [2]uint32{10, 40}), 10, 0},
	} {
		if r, a := c.d.recently(), c.d.recurring(); r != c.recent || a != c.recurring {
			t.Errorf("%s: recently %d, recurring %d; want %d and %d", c.name, r, a, c.recent, c.recurring)
		}
	}
}

// Against the definition, on random series of one value a slot: the greatest value v for which some slot lies
// below v between two that reach it.
func TestRecurringAgreesWithItsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		n := 1 + r.IntN(slots)
		var v []uint32
		d := new(demand)
		now := int64(slotNanos)
		for range n {
			v = append(v, r.Uint32N(20))
		}
		d.now, d.last = level{v[0], v[0], v[0]}, v[0]
		d.advance(now)
		for i := range v {
			if i > 0 {
				d.now, d.last = level{v[i], v[i], v[i]}, v[i]
			}
			if i < n-1 {
				now += slotNanos
				d.advance(now)
			}
		}
		want := uint32(0)
		for i := range v {
			left, right := uint32(0), uint32(0)
			for k := range v {
				if k < i {
					left = max(left, v[k])
				} else if k > i {
					right = max(right, v[k])
				}
			}
			if m := min(left, right); m > v[i] {
				want = max(want, m)
			}
		}
		if got := d.recurring(); got != want {
			t.Fatalf("%v: %d, want %d", v, got, want)
		}
	}
}

func TestSurplus(t *testing.T) {
	for _, c := range [][4]uint32{{100, 50, 0, 100}, {100, 50, 50, 100}, {100, 50, 90, 60}, {100, 50, 150, 0}, {100, 50, 500, 0}, {0, 5, 9, 0}} {
		if got := surplus(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%v: %d", c, got)
		}
	}
}

// resident is what may be resident of a heap's pages.
func (st Stats) resident() units.Bytes { return st.Mapped - st.Unbacked - st.FillerReleased }

// fill makes n spans of random small sizes and a few large ones.
func fill(t *testing.T, h *Heap, r *rand.Rand, total units.Pages) (ids []units.SpanID) {
	for got := units.Pages(0); got < total; {
		n := units.Pages(1 + r.IntN(16))
		if r.IntN(100) == 0 {
			n = units.Pages(1 + r.IntN(1000))
		}
		ids = append(ids, must(t, h, n))
		got += n
	}
	return ids
}

func TestMemoryIsBackAMinuteAfterLoadFallsByNineTenths(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	h := newHeap(t, Options{LifetimeFiller: true})
	ids := fill(t, h, r, 64*pagesOf) // 128 MiB
	now := int64(1e9)
	for range 30 {
		now += 1e9
		h.Background(now, Calm)
	}
	peak := checkHeap(t, h).resident()
	r.Shuffle(len(ids), func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
	h.FreeBatch(ids[len(ids)/10:])
	for range 60 {
		now += 1e9
		h.Background(now, Calm)
	}
	st := checkHeap(t, h)
	if in := st.Small + st.Large; st.resident() > in+peak/20 {
		t.Fatalf("a minute after %d MiB became %d, %d are resident", peak>>20, in>>20, st.resident()>>20)
	}
}

func TestDenseHugepagesAreNotBroken(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	h := newHeap(t, Options{})
	ids := fill(t, h, r, 64*pagesOf)
	for i := 0; i < len(ids); i += 8 {
		h.Free(ids[i])
	}
	now := int64(1e9)
	for range 300 {
		now += 1e9
		h.Background(now, Calm)
	}
	if st := checkHeap(t, h); st.FillerReleased > 8*units.HugePageSize/2 {
		t.Fatalf("%d MiB of dense hugepages were released: %+v", st.FillerReleased>>20, st)
	}
	h.Background(now, Alarm)
	if st := checkHeap(t, h); st.FillerFree+st.Cache != 0 {
		t.Fatalf("an alarm leaves %+v", st)
	}
}

func TestRecurringDemandIsKept(t *testing.T) {
	h := newHeap(t, Options{})
	keep := must(t, h, 8*pagesOf)
	now := int64(1e9)
	var released uint64
	for i := range 12 {
		big := must(t, h, 64*pagesOf)
		for range 10 {
			now += 1e9
			h.Background(now, Calm)
		}
		h.Free(big)
		for range 10 {
			now += 1e9
			h.Background(now, Calm)
		}
		st := checkHeap(t, h)
		if i >= 2 && st.Released != released {
			t.Fatalf("round %d: released %d MiB of a demand that comes back", i, (st.Released-released)>>20)
		}
		released = st.Released
	}
	for range 400 { // it does not come back: once the window has passed, all is given back
		now += 1e9
		h.Background(now, Calm)
	}
	h.Free(keep)
	if st := checkHeap(t, h); st.Cache > 9*units.HugePageSize {
		t.Fatalf("%+v", st)
	}
}

func TestLimitsAreHonouredWithinTwoPercent(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	h := newHeap(t, Options{LifetimeFiller: true})
	const soft, hard = 96 << 20, 128 << 20
	h.SetLimits(soft, hard)
	var ids []units.SpanID
	refused, live := 0, units.Pages(0)
	for i := range 40000 {
		n := units.Pages(1 + r.IntN(30))
		if r.IntN(200) == 0 {
			n = units.Pages(1 + r.IntN(2000))
		}
		if id, _ := h.Alloc(n, 0, 1); id != 0 {
			ids = append(ids, id)
			live += n
		} else {
			refused++
		}
		// Three phases: below the soft limit, between the limits, against the hard one.
		target := units.Pages([]int{60, 100, 200}[i*3/40000]<<20) >> units.PageShift
		for live > target {
			k := r.IntN(len(ids))
			live -= h.Span(ids[k]).Pages
			h.Free(ids[k])
			ids[k] = ids[len(ids)-1]
			ids = ids[:len(ids)-1]
		}
		if i%16 == 0 {
			h.mu.Lock()
			backed := h.backedPages() << units.PageShift
			h.mu.Unlock()
			limit := uint64(soft)
			if live<<units.PageShift > soft*9/10 {
				limit = hard
			}
			if backed > limit*102/100 {
				t.Fatalf("step %d: %d MiB backed for %d in spans, limit %d", i, backed>>20, live>>7, limit>>20)
			}
		}
		if i%1000 == 0 {
			checkHeap(t, h)
		}
	}
	st := checkHeap(t, h)
	if refused == 0 || st.HardRefusals != uint64(refused) || st.SoftHits == 0 {
		t.Fatalf("%d refused: %+v", refused, st)
	}
	h.SetLimits(0, 0)
	must(t, h, 100*pagesOf)
}

func TestCreditOfAReleaseGoesToTheNext(t *testing.T) {
	h := newHeap(t, Options{})
	h.Free(must(t, h, 8*pagesOf))
	if got := h.ReleaseAtLeast(units.PageSize, false); got != units.HugePageSize {
		t.Fatalf("released %d", got)
	}
	total := units.Bytes(0)
	for range 255 {
		total += h.ReleaseAtLeast(units.PageSize, false)
	}
	if total != 0 {
		t.Fatalf("%d released besides a credit", total)
	}
	if got := h.ReleaseAtLeast(units.PageSize, false); got != units.HugePageSize {
		t.Fatalf("released %d when the credit was used up", got)
	}
}

func TestPressed(t *testing.T) {
	const g = 1 << 30
	for _, c := range []struct {
		limit, used units.Bytes
		stall       uint32
		want        Urgency
	}{
		{0, g, 0, Calm}, {g, 0, 0, Calm}, {g, g * 8 / 10, 9, Calm}, {g, g * 9 / 10, 0, Hurry}, {g, g * 96 / 100, 0, Alarm},
		{g, 50 * g, 0, Alarm}, {0, 0, 10, Hurry}, {0, 0, 39, Hurry}, {0, 0, 40, Alarm}, {1, 1, 0, Hurry - 1}, {1 << 60, 1 << 60, 0, Alarm},
	} {
		if got := Pressed(c.limit, c.used, c.stall); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
