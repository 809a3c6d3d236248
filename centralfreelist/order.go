package centralfreelist

import "math/bits"

const (
	// Sublists is the number of occupancy lists (paper section 5.4.3: L = 8).
	Sublists = 8
	// fewObjects: up to this many objects a span, occupancy is indexed directly instead of by powers of two,
	// which would put most of such spans in two lists.
	fewObjects = 16
)

// order is the sublist for a span with allocated of capacity objects handed out: 0 holds the fullest. Above
// 16 objects it is max(0, 8 - floor(log2 allocated)) clamped to 0..7. Preconditions: allocated >= 1.
func order(allocated, capacity uint16) uint8 {
	i := Sublists - int(allocated)
	if capacity > fewObjects {
		i = Sublists - (bits.Len16(allocated) - 1)
	}
	return uint8(min(max(i, 0), Sublists-1))
}
