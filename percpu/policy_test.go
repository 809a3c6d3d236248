package percpu

import (
	"testing"

	"github.com/stretchr/testify/require"

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
	const batch, limit = 32, 200
	for _, c := range []struct {
		name            string
		h               history
		overflow        bool
		capacity, limit uint32
		want            uint32
	}{
		{"the first underflow jumps to a batch", past(false, 0), false, 0, limit, batch},
		{"an underflow below a batch jumps there", past(false, 3), false, 20, limit, 12},
		{"an underflow from a batch on grows by one", past(false, 1), false, 32, limit, 1},
		{"the last by one", past(false, 1), false, 63, limit, 1},
		{"not beyond two batches", past(false, 1), false, 64, limit, 0},
		{"an overflow grows by one", past(false, 1), true, 0, limit, 1},
		{"up to two batches", past(true, 1), true, 63, limit, 1},
		{"no further", past(true, 1), true, 64, limit, 0},
		{"an underflow after an overflow grows by a batch", past(true, 0), false, 64, limit, batch},
		{"an overflow after an underflow does not", past(false, 0), true, 64, limit, 0},
		{"as far as the limit", past(true, 0), false, 190, limit, 10},
		{"and not beyond", past(true, 0), false, 200, limit, 0},
		{"a limit below a batch", past(false, 0), false, 0, 5, 5},
		{"a limit below a batch, reached", past(false, 0), false, 5, 5, 0},
		{"no limit, no growth", past(true, 0), false, 0, 0, 0},
	} {
		require.Equal(t, c.want, growth(c.h, c.overflow, c.capacity, c.limit, batch), c.name)
	}
}

func TestTarget(t *testing.T) {
	const batch = 32
	for _, c := range []struct {
		successive, capacity, want uint32
	}{
		{0, 0, 1}, {0, 1, 1}, {2, 1, 1}, {3, 1, 2}, {3, 0, 1}, {0, 2, 2}, {0, 3, 3}, {0, 32, 17}, {0, 64, 32},
		{0, 65, 32}, {1, 128, 64}, {1, 100, 51}, {0, 2000, 32}, {1, 2000, 64}, {2, 2000, 128}, {10, 2000, 1001},
	} {
		require.Equal(t, c.want, target(past(false, c.successive), c.capacity, batch), "%+v", c)
	}
}

func TestPoliciesStayWithinTheirBounds(t *testing.T) {
	for batch := uint32(2); batch <= 32; batch++ {
		for capacity := uint32(0); capacity < 300; capacity++ {
			for s := uint32(0); s <= maxSuccessive; s++ {
				for _, limit := range []uint32{0, 1, 5, 40, 300} {
					for _, over := range []bool{false, true} {
						n := growth(past(!over, s), over, min(capacity, limit), limit, batch)
						if n > batch || min(capacity, limit)+n > limit {
							t.Fatalf("grows by %d: batch %d, capacity %d, limit %d", n, batch, capacity, limit)
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

func TestLayoutsFitTheirSlabsAndLeaveRoomForTheOddWords(t *testing.T) {
	for _, limit := range []units.Bytes{units.MaxSmall, DefaultLimit, LegacyLimit, 1 << 30} {
		var before layout
		for shift := uint(minShift); shift <= maxShift; shift++ {
			var l layout
			l.fill(shift, limit)
			free := uint32(firstWord)
			for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
				begin, n := uint32(l.begin[c]), uint32(l.slots[c])
				require.Equal(t, free+1, begin, "one odd word and nothing else lies before the slots")
				require.GreaterOrEqual(t, n, uint32(1))
				require.LessOrEqual(t, units.Bytes(n)*sizeclass.Size(c), limit)
				require.GreaterOrEqual(t, l.slots[c], before.slots[c], "no class loses slots in a larger slab")
				free = begin + n
			}
			require.LessOrEqual(t, free, uint32(1)<<(shift-3))
			require.LessOrEqual(t, free, uint32(0xffff), "one past the last slot has 16 bits")
			require.NotZero(t, l.ready)
			before = l
		}
	}
}

func TestTheClassesOfNearlyAllRequestsLieOnTheFirstSlabsFirstPages(t *testing.T) {
	var l layout
	l.fill(minShift, DefaultLimit)
	c := sizeclass.ForMalloc(64)
	require.LessOrEqual(t, (int(l.begin[c])+int(l.slots[c]))*wordBytes, 4096)
}
