package alloc

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// stash is what a P keeps of freed objects that are whole pages: a stack, the first freed at the bottom. It belongs to
// the P's owner, like the slab. A page of memory each, outside the Go heap; fast_amd64.s reads and writes it too.
//
// An entry is an object's address, which is a page's, with its number of pages in the low bits.
//
// The first bytes stay unused: objects begin at a page's start, where they are marked, and a load from a stash at the same
// offset would be held up by the store, whose address agrees in the twelve bits that the processor compares first.
type stash struct {
	_       [stashSkip]byte
	top     uint32  // how many entries there are
	low     uint32  // the fewest since the last look: what lies below has not been wanted since
	bytes   uintptr // the sum of the objects
	limit   uintptr // bytes it may hold
	spilled uintptr // bytes that it had no room for since it last missed
	missed  bool    // it had to grow, or had no room, since the last look
	misses  uint64  // requests and frees that it could not serve
	_       [8]byte
	none    uintptr // an entry of no object, for who pops from an empty stash
	entries [stashEntries]uintptr
}

const (
	stashShift   = units.PageShift - 1 // log2 of its size
	stashSkip    = 256
	stashEntries = (1<<stashShift - 64 - stashSkip) / 8
)

const _ = -(unsafe.Sizeof(stash{}) ^ 1<<stashShift)

func stashAt(a uintptr) *stash { return (*stash)(sys.At(a)) }

// stashSearch bounds how many entries pop looks at: some 30 ns.
const stashSearch = 64

// pop takes the youngest object of exactly so many pages and returns its address, or 0. Preconditions: the caller owns
// the stash.
func (s *stash) pop(pages uintptr) uintptr {
	end := s.top - min(s.top, stashSearch)
	for i := s.top; i > end; i-- {
		w := s.entries[i-1]
		if w&(units.PageSize-1) != pages {
			continue
		}
		copy(s.entries[i-1:s.top], s.entries[i:s.top])
		s.top--
		s.bytes -= pages << units.PageShift
		s.low = min(s.low, i-1)
		return w - pages
	}
	return 0
}

// push adds the object at p if there is room, or can be made: what has not been wanted since the last look gives way,
// oldest first, and is appended to out, as far as that has room. Preconditions: the caller owns the stash, which is not
// the empty one.
func (s *stash) push(p, pages uintptr, out *[]uintptr) bool {
	n := pages << units.PageShift
	if n <= s.limit && (s.bytes+n > s.limit || s.top == stashEntries) {
		k, freed := 0, uintptr(0)
		for k < min(int(s.low), cap(*out)) && (s.bytes+n > s.limit+freed || k == 0) {
			freed += s.entries[k] & (units.PageSize - 1) << units.PageShift
			k++
		}
		*out = s.cut(uint32(k), *out)
		s.low -= uint32(k)
	}
	if s.bytes+n > s.limit || s.top == stashEntries {
		s.spilled += n
		s.missed = true
		s.misses++
		return false
	}
	s.entries[s.top] = p | pages
	s.top++
	s.bytes += n
	return true
}

// cut removes the n oldest entries and appends them to out. Preconditions: the caller owns the stash; n <= top.
func (s *stash) cut(n uint32, out []uintptr) []uintptr {
	out = append(out, s.entries[:n]...)
	for _, w := range s.entries[:n] {
		s.bytes -= w & (units.PageSize - 1) << units.PageShift
	}
	copy(s.entries[:], s.entries[n:s.top])
	s.top -= n
	return out
}

// holds reports whether the object at p is among the entries. Anybody may ask, at any time: an object that somebody has
// is never found.
func (s *stash) holds(p uintptr) bool {
	for _, w := range s.entries[:min(s.top, stashEntries)] {
		if w&^(units.PageSize-1) == p {
			return true
		}
	}
	return false
}
