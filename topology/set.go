package topology

import "math/bits"

// MaxCPUs bounds CPU numbers: the largest NR_CPUS of a distribution kernel.
const MaxCPUs = 8192

// Set is a set of small numbers: CPUs, nodes or domains. Its layout is the kernel's for affinity masks on a
// little-endian machine. The zero value is empty.
type Set [MaxCPUs / 64]uint64

// Has reports whether i is a member.
func (s *Set) Has(i uint32) bool { return i < MaxCPUs && s[i/64]>>(i%64)&1 != 0 }

// Add makes i a member; numbers that no set holds are ignored.
func (s *Set) Add(i uint32) {
	if i < MaxCPUs {
		s[i/64] |= 1 << (i % 64)
	}
}

// addRange makes first to last, both included, members; numbers that no set holds are ignored.
func (s *Set) addRange(first, last uint32) {
	last = min(last, MaxCPUs-1)
	for first <= last {
		n := min(64-first%64, last-first+1) // bits in this word
		s[first/64] |= ^uint64(0) >> (64 - n) << (first % 64)
		first += n
	}
}

// Next is the lowest member that is at least i, or MaxCPUs.
func (s *Set) Next(i uint32) uint32 {
	if i >= MaxCPUs {
		return MaxCPUs
	}
	w := i / 64
	rest := s[w] >> (i % 64) << (i % 64)
	for rest == 0 {
		if w++; w == uint32(len(s)) {
			return MaxCPUs
		}
		rest = s[w]
	}
	return w*64 + uint32(bits.TrailingZeros64(rest))
}

// Count is how many members the set has.
func (s *Set) Count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// Clear empties the set.
func (s *Set) Clear() { clear(s[:]) }

// subset reports whether all members of s are in t.
func (s *Set) subset(t *Set) bool {
	for i, w := range s {
		if w&^t[i] != 0 {
			return false
		}
	}
	return true
}

// end is one above the highest member, 0 for the empty set.
func (s *Set) end() uint32 {
	for w := uint32(len(s)); w > 0; w-- {
		if s[w-1] != 0 {
			return w*64 - uint32(bits.LeadingZeros64(s[w-1]))
		}
	}
	return 0
}
