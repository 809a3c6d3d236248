package percpu

import (
	"math/bits"
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

const (
	minShift = 14 // 16 KiB: what a small program's slab may touch at most
	maxShift = 19 // 512 KiB: indexes of 8-byte words have 16 bits
	layouts  = maxShift - minShift + 1

	headerWords = 48 // room for 96 classes of 4 bytes
	emptyWord   = headerWords
	firstWord   = headerWords + 1

	wordBytes = 8
)

const _ = uint(2*headerWords - sizeclass.NumClasses)

// emptyHeader is the header of a class without slots: its pop reads the odd word 48.
const emptyHeader = header(firstWord | firstWord<<16)

// layout says where each class's slots begin in slabs of one size, and how many there are.
type layout struct {
	ready uint32 // stored last: whoever sees it may read the rest
	begin [sizeclass.NumClasses]uint16
	slots [sizeclass.NumClasses]uint16
}

// weight shares out a slab's words. More than 90 % of requests are of the smallest classes, and a slot of a
// large class is rarely paid for by the byte budget.
func weight(size uint32) uint32 {
	switch {
	case size <= 144:
		return 8
	case size <= 1024:
		return 2
	default:
		return 1
	}
}

// fill computes the layout of slabs of 1<<shift bytes. A class gets no more slots than the budget of limit
// bytes could ever fill.
func (l *layout) fill(shift uint, limit units.Bytes) {
	total := uint32(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		total += weight(sizeclass.Of(c).Size)
	}
	words := uint32(1)<<(shift-3) - firstWord - sizeclass.NumClasses
	at := uint32(firstWord)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		size := sizeclass.Of(c).Size
		n := min(words*weight(size)/total, uint32(limit)/size)
		at++ // the odd word
		l.begin[c], l.slots[c] = uint16(at), uint16(n)
		at += n
	}
	atomic.StoreUint32(&l.ready, 1)
}

// layoutOf is the layout of slab s. A slab's address tells its size, so that whoever read the address has the
// layout that goes with it, even if the vCPU moves to a larger slab meanwhile.
func (k *Cache) layoutOf(s slab) *layout {
	off := uint64(uintptr(s)-k.slabs.Base()) & (1<<areaShift - 1)
	return &k.layouts[uint(bits.TrailingZeros64(off)-minShift)%layouts]
}

// layoutFor is the layout of slabs of 1<<shift bytes, computed when first asked for: small programs use one.
func (k *Cache) layoutFor(shift uint32) *layout {
	l := &k.layouts[(shift-minShift)%layouts]
	if atomic.LoadUint32(&l.ready) == 0 {
		k.layoutMu.Lock()
		if l.ready == 0 {
			l.fill(uint(shift), k.limit)
		}
		k.layoutMu.Unlock()
	}
	return l
}
