package percpu

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// header is one class's place in a slab: the object on top in the upper 48 bits, or an odd number if there is none,
// and the index of the first free slot in the lower 16. Slot i holds the header that was there before the object was
// pushed whose push made the index i+1: to pop is to put that back.
type header uint64

func makeHeader(top uintptr, index uint32) header { return header(top)<<16 | header(index) }
func (h header) top() uintptr                     { return uintptr(h >> 16) }
func (h header) index() uint32                    { return uint32(h & 0xffff) }
func (h header) empty() bool                      { return h>>16&1 != 0 }

// slab is the address of one vCPU's slab. A slab that was given up reads as zeros: no class has capacity in it.
type slab uintptr

// headerAt and endAt are for who owns the slab, or may do with what is stale.
func (s slab) headerAt(c units.ClassID) *header {
	return (*header)(sys.At(uintptr(s) + uintptr(c)*wordBytes))
}
func (s slab) endAt(c units.ClassID) *uint16 {
	return (*uint16)(sys.At(uintptr(s) + EndsAt + uintptr(c)*2))
}

func (s slab) word(i uint32) *header { return (*header)(sys.At(uintptr(s) + uintptr(i)*wordBytes)) }

// load reads a header. Without ownership of the slab the answer may be stale.
func (s slab) load(c units.ClassID) header {
	return header(atomic.LoadUint64((*uint64)(s.headerAt(c))))
}
func (s slab) store(c units.ClassID, h header) {
	atomic.StoreUint64((*uint64)(s.headerAt(c)), uint64(h))
}

// end is one past the last slot that class c may use. Without ownership the answer may be stale, and not be of the same
// moment as a header.
func (s slab) end(c units.ClassID) uint32       { return uint32(*s.endAt(c)) }
func (s slab) setEnd(c units.ClassID, e uint32) { *s.endAt(c) = uint16(e) }

// base is the header of a class c without objects. Its top is the slab's own address plus one: a pop prefetches what is
// below its object, and there nothing is missed.
func (s slab) base(c units.ClassID) header { return makeHeader(uintptr(s)|1, s.begin(c)) }

// begins is where each class's slots begin, and one past the last class's.
func (s slab) begins() *begins { return (*begins)(sys.At(uintptr(s) + beginWord*wordBytes)) }

func (s slab) begin(c units.ClassID) uint32 { return uint32(s.begins()[c]) }

// slots is how many objects of class c the slab has room for.
func (s slab) slots(c units.ClassID) uint32 { return s.begins().slots(c) }

// capacity is how many objects of class c the slab may hold now.
func (s slab) capacity(c units.ClassID) uint32 {
	end, begin := s.end(c), s.begin(c)
	return end - min(end, begin)
}

// length is how many objects of class c the slab holds.
func (s slab) length(c units.ClassID) uint32 {
	index, begin := s.load(c).index(), s.begin(c)
	return index - min(index, begin)
}

// glance is the half of a header that changes with every push and pop, or nearly: how many objects there are and the low
// bits of the one on top.
func (s slab) glance(c units.ClassID) uint32 { return uint32(s.load(c)) }

// unused is how many objects of class c may be pushed. Preconditions: the caller owns the slab, or may do with what is
// stale.
func (s slab) unused(c units.ClassID) uint32 {
	end, index := s.end(c), s.load(c).index()
	return end - min(end, index)
}

// swapEnd changes the end of class c from old to new, unless it is another or an object lies beyond. Preconditions: the
// caller owns the slab.
func (s slab) swapEnd(c units.ClassID, old, new uint32) bool {
	if s.end(c) != old || s.load(c).index() > new {
		return false
	}
	s.setEnd(c, new)
	return true
}

// used is how many bytes of objects the slab holds.
func (s slab) used() (n units.Bytes) {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		n += units.Bytes(s.length(c)) * sizeclass.Size(c)
	}
	return n
}

// push adds up to len(objects) objects, so that they pop in the order given, and returns how many fitted.
// Preconditions: the caller owns the slab.
func (s slab) push(c units.ClassID, objects []uintptr) int {
	h := s.load(c)
	n := min(int(s.unused(c)), len(objects))
	for i := n - 1; i >= 0; i-- {
		*s.word(h.index()) = h
		h = makeHeader(objects[i], h.index()+1)
	}
	s.store(c, h)
	return n
}

// pop takes up to n objects, most recently pushed first. Preconditions: the caller owns the slab.
func (s slab) pop(c units.ClassID, out []uintptr, n int) int {
	h := s.load(c)
	got := 0
	for ; got < n && !h.empty(); got++ {
		out[got] = h.top()
		h = *s.word(h.index() - 1)
	}
	s.store(c, h)
	return got
}

// copyClass moves class c, with its objects and its capacity, from slab from to where s has its slots: a header names
// a slot, so each is written anew. Preconditions: the caller owns both slabs; s has the slots.
func (s slab) copyClass(c units.ClassID, from slab) {
	h, base := from.load(c), s.begin(c)
	by := header(base) - header(from.begin(c)) // modulo 2^64
	s.setEnd(c, base+from.capacity(c))
	if h.empty() {
		return
	}
	*s.word(base) = s.base(c)
	for i := from.begin(c) + 1; i < h.index(); i++ {
		*s.word(i + uint32(by)) = *from.word(i) + by
	}
	s.store(c, h+by)
}

// holds reports whether p stands in a slot of class c. Without ownership it may miss an object that is
// on its way in or out.
func (s slab) holds(c units.ClassID, p uintptr) bool {
	h := s.load(c)
	for i := h.index(); i > firstWord && !h.empty(); i-- {
		if h.top() == p {
			return true
		}
		h = *s.word(i - 1)
	}
	return false
}
