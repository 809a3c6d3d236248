package centralfreelist

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOrderOfSpansOfManyObjectsFollowsThePaper(t *testing.T) {
	for _, c := range []struct {
		allocated uint16
		want      uint8
	}{
		{1, 7}, {2, 7}, {3, 7}, {4, 6}, {7, 6}, {8, 5}, {15, 5}, {16, 4}, {31, 4}, {32, 3}, {63, 3}, {64, 2},
		{127, 2}, {128, 1}, {255, 1}, {256, 0}, {511, 0}, {512, 0}, {1023, 0},
	} {
		require.Equal(t, c.want, order(c.allocated, 1024), "%d of 1024 allocated", c.allocated)
	}
	for a := uint16(1); a <= 1024; a++ { // max(0, 8 - floor(log2 A)), clamped to 0..7
		want := min(max(8-(bits.Len16(a)-1), 0), 7)
		require.EqualValues(t, want, order(a, 1024), a)
	}
}

func TestOrderOfSpansOfFewObjectsIsDirect(t *testing.T) {
	for capacity := uint16(1); capacity <= fewObjects; capacity++ {
		for a := uint16(1); a <= capacity; a++ {
			want := uint8(0)
			if a < 8 {
				want = uint8(8 - a)
			}
			require.Equal(t, want, order(a, capacity), "%d of %d allocated", a, capacity)
		}
	}
}

func TestFullerSpansNeverStandBehindEmptierOnes(t *testing.T) {
	for _, capacity := range []uint16{2, 8, 16, 17, 42, 128, 256, 512, 1024} {
		for a := uint16(2); a <= capacity; a++ {
			require.LessOrEqual(t, order(a, capacity), order(a-1, capacity))
			require.Less(t, order(a, capacity), uint8(Sublists))
		}
	}
}
