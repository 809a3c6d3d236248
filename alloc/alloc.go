package alloc

import (
	"errors"
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// ErrOutOfMemory is returned when the system has no memory or address space for a request, or the hard limit of
// SetMemoryLimit forbids it.
var ErrOutOfMemory = errors.New("vcmalloc: out of memory")

// ErrAlignment is returned for an alignment that is not a power of two.
var ErrAlignment = errors.New("vcmalloc: the alignment is not a power of two")

// pointer turns an address from the heap into a pointer; 0 means that memory was short.
func pointer(p uintptr) (unsafe.Pointer, error) {
	if p == 0 {
		return nil, ErrOutOfMemory
	}
	return sys.At(p), nil
}

// mallocSlow is Malloc when the P's cache can't serve it.
func mallocSlow(size uintptr) (unsafe.Pointer, error) {
	if err := start(); err != nil {
		return nil, err
	}
	if hooks.Load() != 0 {
		return hooked(size, 1, "")
	}
	if c := sizeclass.ForMalloc(size); c != 0 {
		return pointer(allocClass(c))
	}
	p, _ := allocLarge(size, 1)
	return pointer(p)
}

// allocClass returns an object of class c, or 0. Preconditions: start succeeded.
func allocClass(c units.ClassID) uintptr {
	wakeBackground()
	if n := door.whole[c]; n != 0 {
		if p := takeStashed(uintptr(n)); p != 0 {
			return p
		}
	}
	for {
		v := procPin()
		p := core.AllocClassOn(units.VCPU(v), c)
		procUnpin()
		if p != 0 || !dropStashes(false) {
			return p
		}
	}
}

// allocLarge returns at least size bytes in whole pages, or 0. Preconditions: as for allocClass.
func allocLarge(size, align uintptr) (p uintptr, zeroed bool) {
	wakeBackground()
	if size <= maxStashed && size > units.MaxSmall && align <= units.PageSize && stashes.table != 0 {
		if p = takeStashed(uintptr(units.PagesFor(size))); p != 0 {
			return p, false
		}
		if stashes.tight.Load() {
			robStashes()
		}
	}
	for {
		procPin()
		p, zeroed = core.Large(size, align)
		procUnpin()
		if p != 0 || !dropStashes(false) {
			return p, zeroed
		}
	}
}

// freeMarked is Free for small objects that have been checked and marked, and did not fit the P's cache, and for
// large ones that did not fit its stash.
func freeMarked(p unsafe.Pointer) {
	c := units.ClassID(sys.Byte(door.classes + (uintptr(p)-door.base)>>units.PageShift))
	if c == 0 {
		freeSlow(p)
		return
	}
	wakeBackground()
	if n := door.whole[c]; n != 0 && putStashed(uintptr(p), uintptr(n)) {
		return
	}
	v := procPin()
	core.FreeCheckedOn(units.VCPU(v), uintptr(p), c)
	procUnpin()
}

// freeSlow is Free for objects whose spans are longer than a page, large ones, and pointers that are none.
func freeSlow(p unsafe.Pointer) {
	if p == nil || start() != nil || hooks.Load() != 0 && unhook(p) {
		return
	}
	freePlain(p)
	refresh()
}

// freePlain frees what no hook knows. Preconditions: start succeeded.
func freePlain(p unsafe.Pointer) {
	if stashes.table != 0 && uintptr(p)&(units.PageSize-1) == 0 && core.Contains(uintptr(p)) && stashFree(uintptr(p)) {
		return
	}
	v := procPin()
	core.FreeOn(units.VCPU(v), uintptr(p), heap.CallFree)
	procUnpin()
}

// stashFree is Free where it is a stash's affair, and reports whether it was: for what lies in one already, and for
// large objects that the P's has room for.
func stashFree(p uintptr) bool {
	n := core.Usable(p)
	if n == 0 {
		return false
	}
	if sys.Load32(p+4) == uint32(door.mark) && isStashed(p) {
		core.ReportDoubleFree(p, heap.CallFree)
		return true
	}
	if n <= units.MaxSmall || n > maxStashed || core.Hint(p) != pageheap.HintNone {
		return false
	}
	wakeBackground()
	return putStashed(p, n>>units.PageShift)
}

// Calloc returns memory for n objects of size bytes each, zeroed.
func Calloc(n, size uintptr) (unsafe.Pointer, error) {
	hi, total := bits.Mul64(uint64(n), uint64(size))
	if hi != 0 {
		return nil, ErrOutOfMemory
	}
	return Zeroed(uintptr(total))
}

// Zeroed is Malloc of memory that reads as zero. Large objects fresh from the system are not cleared again.
func Zeroed(size uintptr) (unsafe.Pointer, error) {
	if size <= units.MaxSmall {
		p, err := Malloc(size)
		if err == nil {
			clear(unsafe.Slice((*byte)(p), size))
		}
		return p, err
	}
	if err := start(); err != nil {
		return nil, err
	}
	if hooks.Load() != 0 {
		p, err := hooked(size, 1, "")
		if err == nil {
			sys.Zero(uintptr(p), size)
		}
		return p, err
	}
	p, zeroed := allocLarge(size, 1)
	if p != 0 && !zeroed { // outside the pin: clearing may take long
		sys.Zero(p, size)
	}
	return pointer(p)
}

// AlignedAlloc returns size bytes aligned to align, a power of two: 64 for cache lines and SIMD, the system's
// page size for I/O that bypasses the page cache.
func AlignedAlloc(size, align uintptr) (unsafe.Pointer, error) {
	if bits.OnesCount64(uint64(align)) != 1 {
		return nil, fmt.Errorf("%w: %d", ErrAlignment, align)
	}
	c := sizeclass.ForAligned(size, align)
	if c != 0 && door.small.Load() != 0 {
		if p := take(c); p&1 == 0 {
			sys.Store64(p, 0)
			return sys.At(p), nil
		}
	}
	if err := start(); err != nil {
		return nil, err
	}
	if hooks.Load() != 0 {
		return hooked(size, align, "")
	}
	if c != 0 {
		return pointer(allocClass(c))
	}
	p, _ := allocLarge(size, align)
	return pointer(p)
}

// Realloc makes the object at p size bytes large, keeping its contents up to the smaller of the two sizes,
// and its Hint, and returns where it is then. On an error the object at p is as it was. Realloc(nil, size) is Malloc(size).
// The result is aligned to 16; AlignedRealloc keeps a larger alignment.
func Realloc(p unsafe.Pointer, size uintptr) (unsafe.Pointer, error) {
	return AlignedRealloc(p, size, 1)
}

// AlignedRealloc is Realloc with a result aligned to align, a power of two. Large objects whose alignment is at
// most a hugepage keep their memory and move by page tables where they have to move.
func AlignedRealloc(p unsafe.Pointer, size, align uintptr) (unsafe.Pointer, error) {
	if bits.OnesCount64(uint64(align)) != 1 {
		return nil, fmt.Errorf("%w: %d", ErrAlignment, align)
	}
	if p == nil {
		return AlignedAlloc(size, align)
	}
	if err := start(); err != nil {
		return nil, err
	}
	old := UsableSize(p)
	if _, special := known(p); special { // it has a place of its own
		q, err := AlignedAlloc(size, align)
		if err == nil {
			sys.Copy(uintptr(q), uintptr(p), min(old, size))
			Free(p)
		}
		return q, err
	}
	if uintptr(p)&(align-1) == 0 || old == 0 { // 0: no object, which is reported here
		procPin()
		n, done := core.ResizeInPlace(uintptr(p), size, heap.CallRealloc)
		procUnpin()
		if done {
			return p, nil
		}
		old = n
	}
	q, err := Hint(core.Hint(uintptr(p))).aligned(size, align)
	if err != nil {
		return nil, err
	}
	core.Move(uintptr(q), uintptr(p), min(old, size))
	Free(p)
	return q, nil
}

// FreeSized is Free for callers that know the size they asked for; a wrong one is reported like a bad
// pointer.
func FreeSized(p unsafe.Pointer, size uintptr) {
	if p == nil || start() != nil {
		return
	}
	if hooks.Load() != 0 {
		if _, special := known(p); special {
			debugMismatch(p, size)
			Free(p)
			return
		}
	}
	procPin()
	ok := core.SizeFits(uintptr(p), size, 0, false, heap.CallFreeSized)
	procUnpin()
	if ok {
		Free(p)
	}
}

// UsableSize is how many bytes the object at p has: at least what was asked for. 0 for nil and for a pointer
// that is no object.
func UsableSize(p unsafe.Pointer) uintptr {
	if p == nil || start() != nil {
		return 0
	}
	if hooks.Load() != 0 {
		if n, ok := known(p); ok {
			return n
		}
	}
	return core.Usable(uintptr(p))
}

// Owns reports whether p points into memory of this package: an object, live or free, or what lies between.
func Owns(p unsafe.Pointer) bool {
	if p == nil || start() != nil {
		return false
	}
	if _, ok := known(p); ok {
		return true
	}
	return core.Contains(uintptr(p))
}
