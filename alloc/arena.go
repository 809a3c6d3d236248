package alloc

import (
	"errors"
	"fmt"
	"math/bits"
	"reflect"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// ErrFreed is returned by an arena that has been freed.
var ErrFreed = errors.New("vcmalloc: the arena has been freed")

// Region is where NewIn, MakeIn and the like allocate: an *Arena, a *SharedArena, or a Hint.
type Region interface {
	// Alloc returns size bytes aligned to align, a power of two of at most a hugepage; zeroed if so asked.
	Alloc(size, align uintptr, zeroed bool) (unsafe.Pointer, error)
}

// Sizes of an arena's chunks, in bytes. The first is a span of a few pages; each further one doubles, up to a
// hugepage, from which on chunks are whole hugepages.
const (
	minChunk = 32 << 10
	maxChunk = units.HugePageSize
)

// chunk is a stretch of memory that an arena allocates from, front to back.
type chunk struct {
	at, end uintptr
	zeroed  uintptr // from here on it reads as zero
}

// Arena hands out memory that is freed all at once: allocation is an addition and a compare. One goroutine at a
// time may use it; SharedArena is for many. The zero value is ready. Memory is valid until Reset or Free, of this
// arena or of one it is a part of. An arena that nobody refers to any more is not freed by that, nor does sync.Pool free
// those it drops: call Free. Making and freeing an arena of up to 32 MiB is cheap, the P's cache has its chunks.
type Arena struct {
	next, end uintptr // of the current chunk: what is left
	zeroed    uintptr // from here on, and from next on, the current chunk reads as zero
	first     uintptr // where Reset goes back to, while that is all there is to do; 0: it is not

	chunks  []chunk // filled first to last; the current one is chunks[current]
	current int
	hint    uintptr
	future  Hint
	used    uintptr // bytes handed out from chunks before the current one
	subs    []*Arena
	freed   bool
	debug   *arenaDebug
}

// NewArena makes an arena. hint is how many bytes it is likely to hand out, 0 if unknown: it saves the way over
// small chunks. No memory is taken before the first allocation.
func NewArena(hint uintptr) *Arena {
	a := &Arena{hint: hint}
	a.debug = debugArena(a)
	return a
}

// Sub makes an arena within this one: it can be reset and freed by itself, and goes with this one. It is used by
// the same goroutine.
func (a *Arena) Sub(hint uintptr) *Arena {
	s := a.future.NewArena(hint)
	s.freed = a.freed
	a.subs, a.first = append(a.subs, s), 0
	return s
}

// Alloc returns size bytes aligned to align, a power of two of at most a hugepage. If zeroed is false their
// contents are undefined.
func (a *Arena) Alloc(size, align uintptr, zeroed bool) (unsafe.Pointer, error) {
	p := (a.next + align - 1) &^ (align - 1)
	end := p + size
	if align&(align-1) != 0 || end > a.end || p >= end || p < a.next || zeroed && p < a.zeroed {
		return a.allocSlow(size, align, zeroed)
	}
	a.next = end
	return sys.At(p), nil
}

// allocSlow is Alloc where the current chunk has no room, for memory that has to be cleared, for 0 bytes, and for
// alignments that are none.
func (a *Arena) allocSlow(size, align uintptr, zeroed bool) (unsafe.Pointer, error) {
	if bits.OnesCount64(uint64(align)) != 1 || align > units.HugePageSize {
		return nil, fmt.Errorf("%w, or beyond a hugepage: %d", ErrAlignment, align)
	}
	if size > maxRequest {
		return nil, ErrOutOfMemory
	}
	p := (a.next + align - 1) &^ (align - 1)
	if p+size > a.end || a.next == 0 {
		if err := a.grow(size, align); err != nil {
			return nil, err
		}
		p = (a.next + align - 1) &^ (align - 1)
	}
	a.next = p + size
	if zeroed && p < a.zeroed {
		sys.Zero(p, min(size, a.zeroed-p))
	}
	return sys.At(p), nil
}

// grow makes the current chunk one that has room: the next that Reset kept, or a new one.
func (a *Arena) grow(size, align uintptr) error {
	if a.freed {
		return ErrFreed
	}
	for a.put(); a.current < len(a.chunks); a.current++ {
		if c := &a.chunks[a.current]; (c.at+align-1)&^(align-1)+size <= c.end {
			a.take()
			return nil
		}
	}
	c, err := a.newChunk(size, align)
	if err != nil {
		return err
	}
	a.chunks = append(a.chunks, c)
	a.current = len(a.chunks) - 1
	a.take()
	return nil
}

// put writes the current chunk's state back and makes the next one current.
func (a *Arena) put() {
	if a.next != 0 {
		c := &a.chunks[a.current]
		c.zeroed = max(a.zeroed, a.next)
		a.used += a.next - c.at
		a.next, a.end, a.zeroed, a.first = 0, 0, 0, 0
		a.current++
	}
}

func (a *Arena) take() {
	c := &a.chunks[a.current]
	a.next, a.end, a.zeroed = c.at, c.end, c.zeroed
	if len(a.chunks) == 1 && len(a.subs) == 0 && a.debug == nil {
		a.first = c.at
	}
}

func (a *Arena) newChunk(size, align uintptr) (chunk, error) {
	if len(a.chunks) == 0 && a.debug == nil {
		a.debug = debugArena(a)
	}
	n := uintptr(minChunk)
	if k := len(a.chunks); k > 0 {
		last := a.chunks[k-1]
		n = min((last.end-last.at)*2, maxChunk)
	} else if a.hint > n {
		n = a.hint
	}
	if align > units.PageSize {
		size += align
	}
	n = max(n, size)
	if n > units.MaxSmall { // whole pages, then whole hugepages: nothing of them is given away
		unit := uintptr(units.PageSize)
		if n >= maxChunk/2 {
			unit = units.HugePageSize
		}
		n = (n + unit - 1) &^ (unit - 1)
	} else {
		n = RoundSize(n)
	}
	return a.debug.chunk(n, a.future)
}

// allocChunk takes n bytes from the heap.
func allocChunk(n uintptr, future Hint) (chunk, error) {
	if err := start(); err != nil {
		return chunk{}, err
	}
	if n <= units.MaxSmall {
		p, err := future.Malloc(n)
		return chunk{uintptr(p), uintptr(p) + n, uintptr(p) + n}, err
	}
	var p uintptr
	var zeroed bool
	if future == NoHint {
		p, zeroed = allocLarge(n, 1)
	} else {
		p, zeroed = future.take(n, 1)
	}
	if p == 0 {
		return chunk{}, ErrOutOfMemory
	}
	c := chunk{p, p + n, p + n}
	if zeroed {
		c.zeroed = p
	}
	return c, nil
}

// Reset makes all memory of the arena, and of the arenas within, free for new allocations. Its chunks stay with
// it, hugepages and all, but for those beyond twice what was used since the last Reset.
func (a *Arena) Reset() {
	if a.first != 0 { // an arena for each request of a few KiB: nothing else would change
		a.zeroed = max(a.zeroed, a.next)
		a.next = a.first
		return
	}
	a.reset()
}

// reset is Reset of an arena of several chunks, or parts, or in debug mode.
func (a *Arena) reset() {
	if a.freed {
		return
	}
	used := a.Used()
	a.put()
	for _, s := range a.subs {
		s.Free()
	}
	a.subs, a.current, a.used = a.subs[:0], 0, 0
	a.debug.reset(a)
	kept := uintptr(0)
	for i, c := range a.chunks {
		if kept > 2*used && i > 0 {
			a.release(a.chunks[i:])
			a.chunks = a.chunks[:i]
			break
		}
		kept += c.end - c.at
	}
}

// Free gives all memory back. The arena can't be used any more: allocations return ErrFreed. Freeing it twice is
// harmless.
func (a *Arena) Free() {
	if a.freed {
		return
	}
	a.next, a.end, a.zeroed, a.first, a.freed = 0, 0, 0, 0, true
	for _, s := range a.subs {
		s.Free()
	}
	a.release(a.chunks)
	a.chunks, a.subs, a.used, a.current = nil, nil, 0, 0
	a.debug.freed()
}

func (a *Arena) release(chunks []chunk) {
	for _, c := range chunks {
		a.debug.release(c)
	}
}

// Used is how many bytes the arena has handed out since the last Reset, gaps for alignment included, without the
// arenas within.
func (a *Arena) Used() uintptr {
	if a.next == 0 {
		return a.used
	}
	return a.used + a.next - a.chunks[a.current].at
}

// Size is how many bytes the arena holds, without the arenas within.
func (a *Arena) Size() (n uintptr) {
	for _, c := range a.chunks {
		n += c.end - c.at
	}
	return n
}

// NewIn returns a zeroed T in region r, valid as long as the region's memory.
func NewIn[T any](r Region) (*T, error) {
	if err := checkType(reflect.TypeFor[T]()); err != nil {
		return nil, err
	}
	p, err := r.Alloc(sizeOf[T](), 8, true)
	return (*T)(p), err
}

// MakeIn returns a slice in region r with len zeroed elements and capacity cap.
func MakeIn[T any](r Region, len, cap int) ([]T, error) { return makeIn[T](r, len, cap, true) }

func makeIn[T any](r Region, n, capacity int, zeroed bool) ([]T, error) {
	if n < 0 || capacity < n {
		return nil, fmt.Errorf("vcmalloc: a slice of length %d and capacity %d", n, capacity)
	}
	if err := checkType(reflect.TypeFor[T]()); err != nil {
		return nil, err
	}
	total, err := bytesFor(capacity, sizeOf[T]())
	if err != nil {
		return nil, err
	}
	p, err := r.Alloc(total, 8, zeroed)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*T)(p), capacity)[:n], nil
}

// AppendIn appends values to s. Where s has no room the result is a copy in region r, of twice the capacity; s stays
// valid as long as what holds it.
func AppendIn[T any](r Region, s []T, values ...T) ([]T, error) {
	n := len(s) + len(values)
	if n <= cap(s) {
		return append(s, values...), nil
	}
	grown, err := makeIn[T](r, len(s), max(grownTo(cap(s), n), 4), true)
	if err != nil {
		return s, err
	}
	copy(grown, s)
	return append(grown, values...), nil
}

// CloneIn returns a copy of s in region r.
func CloneIn[T any](r Region, s []T) ([]T, error) {
	c, err := makeIn[T](r, len(s), len(s), false)
	if err == nil {
		copy(c, s)
	}
	return c, err
}

// CopyBytes returns a copy of b in region r.
func CopyBytes(r Region, b []byte) ([]byte, error) { return CloneIn(r, b) }

// CopyString returns a copy of s in region r. The string must not be used after the region's memory is gone: no
// check can find it out.
func CopyString(r Region, s string) (string, error) {
	if len(s) == 0 {
		return "", nil
	}
	p, err := r.Alloc(uintptr(len(s)), 1, false)
	if err != nil {
		return "", err
	}
	copy(unsafe.Slice((*byte)(p), len(s)), s)
	return unsafe.String((*byte)(p), len(s)), nil
}
