package alloc

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// Hint is what a program knows of an object's future. Objects of one hint lie together, on hugepages of their own: small
// ones in spans of their class and hint, large ones as they are. So what is freed soon leaves whole hugepages behind, what
// stays does not hold them back, and what is rarely touched takes no huge pages from what is. An object with a hint is
// freed, resized (Append, Grow and Realloc keep the hint) and counted like any other.
//
// It passes the P's cache by: an allocation and a free together cost 100 ns and more, 300 where a span comes and goes
// with the object, instead of 6 to 15. Hints are for what is kept for long, or for bulk. They change nothing else, and nothing at all in
// debug mode and for what sampling picked.
//
// A Hint is a Region: NewIn[T](Cold), MakeIn[T](LongLived, 0, n), CopyBytes(Cold, b). What these return is freed one by
// one, by FreeOf and FreeSlice; slices from MakeIn are to grow by Append, not AppendIn, which leaves the old one
// behind. Safe for concurrent use.
type Hint uint8

const (
	NoHint     = Hint(pageheap.HintNone)
	ShortLived = Hint(pageheap.HintShort) // freed soon: of a request, of a batch
	LongLived  = Hint(pageheap.HintLong)  // kept for the life of a cache, an index, the process
	Cold       = Hint(pageheap.HintCold)  // rarely touched: not worth a hugepage
)

// Malloc is the package's Malloc for objects of this hint.
func (h Hint) Malloc(size uintptr) (unsafe.Pointer, error) { return h.aligned(size, 16) }

// MallocSlice is the package's MallocSlice for objects of this hint.
func (h Hint) MallocSlice(n int) ([]byte, error) { return makeIn[byte](h, n, n, false) }

// Alloc returns size bytes aligned to align, a power of two; zeroed if so asked. The caller owns them until Free. For 0
// bytes there is no object, and nothing to free.
func (h Hint) Alloc(size, align uintptr, zeroed bool) (unsafe.Pointer, error) {
	if bits.OnesCount64(uint64(align)) != 1 {
		return nil, fmt.Errorf("%w: %d", ErrAlignment, align)
	}
	if size == 0 {
		return unsafe.Pointer(&zeroBase), nil
	}
	if hooks.Load() != 0 || h == NoHint || h > Cold {
		p, err := AlignedAlloc(size, max(align, 16))
		if zeroed && err == nil {
			sys.Zero(uintptr(p), size)
		}
		return p, err
	}
	if err := start(); err != nil {
		return nil, err
	}
	p, clear := h.take(size, align)
	if zeroed && !clear && p != 0 { // outside the pin: clearing may take long
		sys.Zero(p, size)
	}
	return pointer(p)
}

// aligned is AlignedAlloc for objects of this hint.
func (h Hint) aligned(size, align uintptr) (unsafe.Pointer, error) {
	if h == NoHint {
		return AlignedAlloc(size, align)
	}
	return h.Alloc(max(size, 1), align, false)
}

// take returns at least size bytes, or 0. Preconditions: start succeeded; h is a hint.
func (h Hint) take(size, align uintptr) (p uintptr, zeroed bool) {
	wakeBackground()
	for {
		procPin()
		p, zeroed = core.Hinted(size, align, pageheap.Hint(h))
		procUnpin()
		if p != 0 || !dropStashes(false) {
			return p, zeroed && size > units.MaxSmall
		}
	}
}

// NewArena is the package's NewArena for an arena whose memory, and that of arenas within, has this hint; size is how
// many bytes it is likely to hand out, 0 if unknown.
func (h Hint) NewArena(size uintptr) *Arena {
	a := NewArena(size)
	a.future = h
	return a
}

// NewSharedArena is the package's NewSharedArena for an arena whose memory has this hint.
func (h Hint) NewSharedArena(size uintptr) *SharedArena {
	s := NewSharedArena(size)
	s.arena.future = h
	return s
}
