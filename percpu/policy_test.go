package percpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// past is a history of the given kind and count.
func past(overflow bool, successive uint32) history {
	h := history(successive)
	if overflow {
		h |= historyOverflow
	}
	return h
}

func TestHistoryCountsEventsOfOneKindInARow(t *testing.T) {
	h := history(0)
	for _, step := range []struct {
		overflow   bool
		successive uint32
	}{
		{false, 1}, {false, 2}, {true, 0}, {true, 1}, {true, 2}, {true, 3}, {false, 0}, {true, 0}, {false, 0}, {false, 1},
	} {
		h = h.after(step.overflow)
		require.Equal(t, step.overflow, h.wasOverflow())
		require.Equal(t, step.successive, h.successive())
	}
	for range 100 {
		h = h.after(false)
	}
	require.EqualValues(t, maxSuccessive, h.successive())
}

func TestGrowth(t *testing.T) {
	const batch = 32
	for _, c := range []struct {
		name                    string
		h                       history
		overflow                bool
		capacity, spilled, size uint32
		want                    uint32
	}{
		{"the first underflow jumps to a batch", past(false, 0), false, 0, 0, 64, batch},
		{"an underflow below a batch jumps there", past(false, 3), false, 20, 0, 64, 12},
		{"an underflow from a batch on grows by one", past(false, 1), false, 32, 0, 64, 1},
		{"the last by one", past(false, 1), false, 63, 0, 64, 1},
		{"not beyond two batches", past(false, 1), false, 64, 0, 64, 0},
		{"an overflow grows by one", past(false, 1), true, 0, 0, 64, 1},
		{"up to two batches", past(true, 1), true, 63, 0, 64, 1},
		{"no further", past(true, 1), true, 64, 0, 64, 0},
		{"however many in a row", past(true, 10), true, 64, 0, 64, 0},
		{"an underflow after an overflow grows by a batch", past(true, 0), false, 64, 0, 64, batch},
		{"a little spilt is a batch", past(true, 0), false, 64, 20, 64, batch},
		{"what was spilt is wanted back", past(true, 0), false, 64, 50, 64, 50},
		{"but no more than doubles", past(true, 0), false, 64, 500, 64, 64},
		{"an overflow after an underflow does not grow", past(false, 0), true, 64, 500, 64, 0},
		{"a stream of small objects grows", past(false, 4), false, 64, 0, 64, batch},
		{"a shorter one does not", past(false, 3), false, 64, 0, 64, 0},
		{"up to 32 KiB", past(false, 9), false, 480, 0, 64, batch},
		{"and not beyond", past(false, 9), false, 481, 0, 64, 0},
		{"larger objects have that at once", past(false, 9), false, 64, 0, 1024, 0},
	} {
		require.Equal(t, c.want, growth(c.h, c.overflow, c.capacity, batch, c.spilled, c.size), c.name)
	}
}

func TestGapsAreSmoothed(t *testing.T) {
	gap := smoothGap(0, 100)
	require.EqualValues(t, 100*gapUnit, gap, "the first is believed")
	for range 100 {
		gap = smoothGap(gap, 10)
	}
	require.InDelta(t, 10*gapUnit, gap, gapSmooth)
	require.Less(t, smoothGap(gap, 1000), uint32(1000*gapUnit/4), "one long gap is not a habit")
	require.NotPanics(t, func() { smoothGap(smoothGap(maxGap*gapUnit, ^uint32(0)), ^uint32(0)) })
	require.LessOrEqual(t, smoothGap(maxGap*gapUnit, ^uint32(0)), uint32(maxGap*gapUnit))
}

func TestCapacityGoesFromClassesAtEase(t *testing.T) {
	const gap, bytes = 50 * gapUnit, 20000
	mine := ease(gap, 0, bytes)
	require.False(t, easier(mine, mine))
	require.False(t, easier(ease(2*gap, 10, bytes), mine), "half as many misses may be chance")
	require.True(t, easier(ease(easeRatio*gap, 10, bytes), mine), "a class that misses less")
	require.True(t, easier(ease(gap, 10, easeRatio*bytes), mine), "a class that has more")
	require.True(t, easier(ease(gap, easeRatio*gap/gapUnit, bytes), mine), "a class that stopped missing")
	require.True(t, easier(ease(gap, 10, bytes), ease(gap, 10, 0)), "a class without any may have of anyone's")
	require.Positive(t, ease(maxGap*gapUnit, ^uint32(0), units.MaxSmall*8192), "no overflow")
}

func TestTarget(t *testing.T) {
	const batch = 32
	for _, c := range []struct {
		successive, capacity, want uint32
	}{
		{0, 0, 1}, {0, 1, 1}, {2, 1, 1}, {3, 1, 2}, {3, 0, 1}, {0, 2, 2}, {0, 3, 2}, {1, 3, 3}, {0, 32, 9}, {1, 32, 17},
		{0, 128, 32}, {1, 128, 64}, {1, 100, 51}, {0, 2000, 32}, {1, 2000, 64}, {2, 2000, 128}, {10, 2000, 1001},
	} {
		require.Equal(t, c.want, target(past(false, c.successive), c.capacity, batch), "%+v", c)
	}
}

func TestPoliciesStayWithinTheirBounds(t *testing.T) {
	for batch := uint32(2); batch <= 32; batch++ {
		for capacity := uint32(0); capacity < 300; capacity++ {
			for s := uint32(0); s <= maxSuccessive; s++ {
				for _, spilled := range []uint32{0, 1, 5, 40, 300} {
					for _, over := range []bool{false, true} {
						n := growth(past(!over, s), over, capacity, batch, spilled, 64)
						if n > max(batch, capacity) {
							t.Fatalf("grows by %d: batch %d, capacity %d, spilled %d", n, batch, capacity, spilled)
						}
					}
				}
				n := target(past(false, s), capacity, batch)
				if n < 1 || n > capacity+1 {
					t.Fatalf("target %d: batch %d, capacity %d", n, batch, capacity)
				}
			}
		}
	}
}

// checkLayout holds a layout's invariants.
func checkLayout(t testing.TB, b *begins, shift uint32, need *needs, budget units.Bytes) {
	t.Helper()
	free := uint32(firstWord)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		require.Equal(t, free, uint32(b[c]), "nothing lies before the slots but those of the class below")
		n := b.slots(c)
		require.GreaterOrEqual(t, n, need[c])
		if n > need[c] {
			require.LessOrEqual(t, units.Bytes(n)*sizeclass.Size(c), budget)
		}
		free = uint32(b[c]) + n
	}
	require.LessOrEqual(t, free, uint32(1)<<(shift-3))
	require.LessOrEqual(t, free, uint32(0xffff), "one past the last slot has 16 bits")
}

func TestLayoutsFitTheirSlabs(t *testing.T) {
	var none needs
	for _, limit := range []units.Bytes{units.MaxSmall, DefaultLimit, LegacyLimit, 1 << 30} {
		var before begins
		for shift := uint32(minShift); shift <= maxShift; shift++ {
			var b begins
			require.True(t, b.arrange(shift, &none, limit))
			checkLayout(t, &b, shift, &none, limit)
			for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
				require.Positive(t, b.slots(c))
				require.GreaterOrEqual(t, b.slots(c), before.slots(c), "no class loses slots in a larger slab")
			}
			before = b
		}
	}
}

func TestLayoutsHaveWhatEachClassNeeds(t *testing.T) {
	r := coretest.Rand(t)
	for range 2000 {
		var need needs
		for range r.IntN(20) {
			need[1+r.IntN(sizeclass.NumClasses-1)] = uint32(r.IntN(1 << r.IntN(17)))
		}
		total := uint32(0)
		for c := range need {
			total += need[c]
		}
		shift, budget := fit(&need), units.Bytes(1)<<(18+r.IntN(10))
		var b begins
		if !b.arrange(shift, &need, budget) {
			require.EqualValues(t, maxShift, shift, "a smaller slab always has room")
			require.Greater(t, firstWord+total, uint32(0xffff))
			continue
		}
		checkLayout(t, &b, shift, &need, budget)
		if shift > minShift {
			require.Greater(t, firstWord+total+total/4, uint32(1)<<(shift-4), "no smaller one would do")
		}
	}
}

func TestTheClassesOfNearlyAllRequestsLieOnTheFirstSlabsFirstPages(t *testing.T) {
	var b begins
	require.True(t, b.arrange(minShift, new(needs), DefaultLimit))
	c := sizeclass.ForMalloc(64)
	require.LessOrEqual(t, (int(b[c])+int(b.slots(c)))*wordBytes, 4096)
}
