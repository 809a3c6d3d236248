package span

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Span is the description of a run of pages.
type Span struct {
	First units.PageID
	Pages units.Pages

	// Links of whatever list the span is in; its owner is the central free list.
	Next, Prev units.SpanID

	Class     units.ClassID // 0: a large span, one object
	List      uint8         // which of the central free list's lists holds it
	Flags     uint8
	Origin    uint8  // domain that most of its free objects came from, as its owner numbers them; 0: unknown
	Allocated uint16 // objects handed out
	Capacity  uint16 // objects in all

	free [bitmapWords]uint64 // bitmap encoding, or the index list's head in the first word

	// The central free list's own, for its statistics.
	Epoch uint16 // of the last change
	Band  uint8  // of live objects when that epoch began

	color uint8  // bitmap encoding: the object handed out first; those below it come last
	fresh uint16 // bitmap encoding: how many objects, in the order of handing out, were ever handed out

	Hint  uint8 // what the caller said of its objects' future, as the page heap numbers hints; 0: nothing
	Votes uint8 // how many more objects that domain gave back than others did, about
}

const bitmapWords = 4

// Flags.
const (
	// FlagAligned marks a large span whose first pages were cut off to align it.
	FlagAligned = 1 << iota
)

// colorBytes bounds where in a span the first object lies. Small programs, and loops that allocate and free one
// object of each of many classes, use the first object of many spans, and all spans begin at offset 0 of a page:
// without colors these objects share one of the 64 sets of an 8-way first-level cache (pairs of mixed sizes 8 B to 1
// KiB: 8.5 ns without, 8.1 with colors, interleaved medians on Zen 4). A quarter of a 4 KiB page is 16 sets, and seldom
// costs a second page fault.
const colorBytes = 1024

const _ = uint(64 - unsafe.Sizeof(Span{})) // one cache line
const _ = uint(unsafe.Sizeof(Span{}) - 64)

// tinyMax is the largest object size, in bytes, of the index-list encoding: more than 256 objects a page.
const tinyMax = 16

const (
	listEnd   = 0xffff
	nodeSlots = 3 // further indices in a node, behind the next node's
	nodeBytes = 8
)

// list is the index list's state, kept in the first word of Span.free.
type list struct {
	head  uint16 // index of the first node, listEnd if none
	used  uint16 // how many of the head's slots hold an index
	fresh uint16 // objects [fresh, Capacity) were never handed out
	_     uint16
}

func (s *Span) list() *list { return (*list)(unsafe.Pointer(&s.free)) }

// Init makes s describe a span of class c with every object free (c 0: a large object).
func (s *Span) Init(first units.PageID, n units.Pages, c units.ClassID) {
	*s = Span{First: first, Pages: n, Class: c}
	if c == 0 {
		return
	}
	k := sizeclass.Of(c)
	s.Capacity = k.Objects
	if k.Size <= tinyMax {
		s.list().head = listEnd
		return
	}
	s.color = uint8(uint32(first) % (colorBytes/k.Size + 1)) // at most 32, so always in the first word
	left := int(k.Objects)
	for i := range s.free {
		if left >= 64 {
			s.free[i] = ^uint64(0)
		} else if left > 0 {
			s.free[i] = 1<<left - 1
		}
		left -= 64
	}
}

// Touch has the processor fetch the line of s without waiting for it: what is loaded is not used. It needs no lock.
func (s *Span) Touch() { atomic.LoadUint32((*uint32)(&s.First)) }

// Full reports whether no object of s is free, Empty whether all are.
func (s *Span) Full() bool  { return s.Allocated == s.Capacity }
func (s *Span) Empty() bool { return s.Allocated == 0 }

// Pop takes up to n free objects off s, whose memory begins at base, writes their addresses to out and
// returns how many. Bitmap encoding: the lowest addresses from the color on, then those below it. Preconditions: n <= len(out).
func (s *Span) Pop(base uintptr, out []uintptr, n int) int {
	k := sizeclass.Of(s.Class)
	size := uintptr(k.Size)
	got := 0
	if size <= tinyMax {
		for got < n && !s.Full() {
			out[got] = base + s.popTiny(base, size)*size
			got++
			s.Allocated++
		}
		return got
	}
	below := uint64(1)<<(s.color&63) - 1
	last := uint16(0)
	for i := 0; i <= bitmapWords && got < n; i++ {
		mask := ^uint64(0)
		switch i {
		case 0:
			mask = ^below
		case bitmapWords:
			mask = below
		}
		word := i & (bitmapWords - 1)
		all := s.free[word]
		w := all & mask
		rest := all &^ mask
		for w != 0 && got < n {
			last = uint16(word*64 + bits.TrailingZeros64(w))
			w &= w - 1
			out[got] = base + uintptr(last)*size
			got++
		}
		s.free[word] = w | rest
	}
	s.Allocated += uint16(got)
	if got > 0 {
		order := last - uint16(s.color)
		if last < uint16(s.color) {
			order += s.Capacity
		}
		s.fresh = max(s.fresh, order+1)
	}
	return got
}

// HandedOut is how many objects have ever been handed out: the others never were in anybody's hands.
func (s *Span) HandedOut() uint16 {
	if sizeclass.Of(s.Class).Size <= tinyMax {
		return s.list().fresh
	}
	return s.fresh
}

// Push gives objects back to s, whose memory begins at base. It returns how many it took, and the first it
// refused, or 0: one that is not the address of an object of s that was handed out. A second push of an object
// of 8 or 16 bytes goes unseen.
func (s *Span) Push(base uintptr, objects []uintptr) (n int, bad uintptr) {
	k := sizeclass.Of(s.Class)
	size, limit, out := uintptr(k.Size), uintptr(s.Pages)<<units.PageShift, int(s.Allocated)
	for _, p := range objects {
		off := p - base
		ok := off < limit && uint32(off)*k.DivMul <= k.DivMax && n < out // sizeclass.Divides
		if ok {
			i := uint32(uint64(off) * uint64(k.Recip) >> sizeclass.RecipShift) // sizeclass.Index
			if size > tinyMax {
				w, bit := &s.free[i>>6&(bitmapWords-1)], uint64(1)<<(i&63)
				ok = *w&bit == 0
				*w |= bit
			} else if ok = i < uint32(s.list().fresh); ok {
				s.pushTiny(base, size, uint16(i))
			}
		}
		if ok {
			n++
		} else if bad == 0 {
			bad = p
		}
	}
	s.Allocated -= uint16(n)
	return n, bad
}

// IsFree reports whether object p of s is free in the span itself (not in a cache above). It walks the
// index list, so it is for checks that already suspect something. Preconditions: p lies on a page of s.
func (s *Span) IsFree(base, p uintptr) bool {
	k := sizeclass.Of(s.Class)
	i := sizeclass.Index(s.Class, p-base)
	if i >= uint32(s.Capacity) {
		return false
	}
	if k.Size > tinyMax {
		return s.free[i>>6&(bitmapWords-1)]&(1<<(i&63)) != 0
	}
	l := s.list()
	if i >= uint32(l.fresh) {
		return true
	}
	used := l.used
	for h, steps := l.head, uint16(0); h != listEnd && steps < s.Capacity; steps++ {
		node := nodeAt(base, uintptr(k.Size), h)
		if uint32(h) == i {
			return true
		}
		for j := uint16(0); j < used && j < nodeSlots; j++ {
			if uint32(node[j+1]) == i {
				return true
			}
		}
		h, used = node[0], nodeSlots
	}
	return false
}

// nodeAt is the list node in the last 8 bytes of free object i: the next node's index, then slots.
func nodeAt(base, size uintptr, i uint16) *[4]uint16 {
	return (*[4]uint16)(sys.At(base + uintptr(i)*size + size - nodeBytes))
}

func (s *Span) popTiny(base, size uintptr) uintptr {
	l := s.list()
	if l.head == listEnd {
		l.fresh++
		return uintptr(l.fresh - 1)
	}
	node := nodeAt(base, size, l.head)
	if l.used > 0 {
		l.used--
		return uintptr(node[1+l.used&3])
	}
	i := l.head
	l.head, l.used = node[0], nodeSlots // every node but the head is full
	return uintptr(i)
}

func (s *Span) pushTiny(base, size uintptr, i uint16) {
	l := s.list()
	if l.head != listEnd && l.used < nodeSlots {
		node := nodeAt(base, size, l.head)
		node[1+l.used&3] = i
		l.used++
		return
	}
	nodeAt(base, size, i)[0] = l.head
	l.head, l.used = i, 0
}
