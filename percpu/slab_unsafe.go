package percpu

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// header is one class's place in a slab: current in the low 16 bits, end in the high.
type header uint32

func makeHeader(current, end uint32) header { return header(current | end<<16) }
func (h header) current() uint32            { return uint32(h & 0xffff) }
func (h header) end() uint32                { return uint32(h >> 16) }

// slab is the address of one vCPU's slab. A slab that was given up reads as zeros: no class has capacity in it.
type slab uintptr

func (s slab) headerAt(c units.ClassID) *uint32 { return (*uint32)(sys.At(uintptr(s) + uintptr(c)*4)) }

// load reads a header. Without ownership of the slab the answer may be stale.
func (s slab) load(c units.ClassID) header     { return header(atomic.LoadUint32(s.headerAt(c))) }
func (s slab) store(c units.ClassID, h header) { atomic.StoreUint32(s.headerAt(c), uint32(h)) }

func (s slab) word(i uint32) *uintptr { return (*uintptr)(sys.At(uintptr(s) + uintptr(i)*wordBytes)) }

// mark puts the odd word before slot i.
func (s slab) mark(i uint32) { w := s.word(i - 1); *w = uintptr(s) + uintptr(i-1)*wordBytes | 1 }

// begins is where each class's slots begin, and one past the last class's.
func (s slab) begins() *begins { return (*begins)(sys.At(uintptr(s) + beginWord*wordBytes)) }

func (s slab) begin(c units.ClassID) uint32 { return uint32(s.begins()[c]) }

// slots is how many objects of class c the slab has room for.
func (s slab) slots(c units.ClassID) uint32 { return s.begins().slots(c) }

// capacity is how many objects of class c the slab may hold now.
func (s slab) capacity(c units.ClassID) uint32 {
	end, begin := s.load(c).end(), s.begin(c)
	return end - min(end, begin) // no slots yet: less than begin
}

// length is how many objects of class c the slab holds.
func (s slab) length(c units.ClassID) uint32 {
	current, begin := s.load(c).current(), s.begin(c)
	return current - min(current, begin)
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
	n := min(int(h.end()-h.current()), len(objects))
	for i := 0; i < n; i++ {
		*s.word(h.current() + uint32(i)) = objects[n-1-i]
	}
	s.store(c, makeHeader(h.current()+uint32(n), h.end()))
	return n
}

// pop takes up to n objects, most recently pushed first. Preconditions: the caller owns the slab.
func (s slab) pop(c units.ClassID, out []uintptr, n int) int {
	h := s.load(c)
	got := 0
	for ; got < n; got++ {
		p := *s.word(h.current() - uint32(got) - 1)
		if p&1 != 0 {
			break
		}
		out[got] = p
	}
	s.store(c, makeHeader(h.current()-uint32(got), h.end()))
	return got
}

// holds reports whether p stands in a slot of class c. Without ownership it may miss an object that is
// on its way in or out.
func (s slab) holds(c units.ClassID, p uintptr) bool {
	for i := s.load(c).current(); i > firstWord; i-- {
		w := *s.word(i - 1)
		if w == p {
			return true
		}
		if w&1 != 0 {
			break
		}
	}
	return false
}
