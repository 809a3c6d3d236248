package pageheap

import "github.com/vcmalloc/vcmalloc/internal/units"

// chilled remembers for which hugepages the system was asked for small pages because what lies there is cold.
// Guarded by Heap.mu. 64 KiB, of which a process without cold memory touches nothing.
type chilled struct {
	bits [maxHuge / 64]uint64
	n    uint32
}

// temper notes that n hugepages from first on hold cold memory from now on, or other memory. It reports whether the
// system is to be asked for small pages there, or for hugepages again, once no lock is held: whoever touches the
// memory in between gets what was there before, which costs time but nothing else. Caller holds mu.
func (h *Heap) temper(first units.HugePageID, n uint32, cold bool) (chill, thaw bool) {
	c := &h.chilled
	if !cold && c.n == 0 {
		return false, false
	}
	for hp := uint32(first); hp < uint32(first)+n; hp++ {
		w, bit := &c.bits[hp>>6%uint32(len(c.bits))], uint64(1)<<(hp&63)
		switch {
		case cold && *w&bit == 0:
			*w |= bit
			c.n++
			chill = true
		case !cold && *w&bit != 0:
			*w &^= bit
			c.n--
			thaw = true
		}
	}
	return chill, thaw
}
