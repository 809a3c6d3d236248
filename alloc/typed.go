package alloc

import (
	"fmt"
	"math/bits"
	"reflect"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// New returns a zeroed T outside the Go heap. The caller owns it until FreeOf. Types that hold Go pointers are
// refused with a *PointerError.
func New[T any]() (*T, error) {
	if err := checkType(reflect.TypeFor[T]()); err != nil {
		return nil, err
	}
	size := sizeOf[T]()
	if size == 0 {
		return new(T), nil // all values of no bytes are one; FreeOf knows
	}
	p, err := Zeroed(size)
	return (*T)(p), err
}

// Make returns a slice outside the Go heap with len zeroed elements and room for at least cap; its capacity is what
// the object holds. The caller owns it until FreeSlice. Append grows it; the built-in append, when it has to grow
// it, copies it to the Go heap and leaves the object behind.
func Make[T any](len, cap int) ([]T, error) {
	return makeSlice[T](len, cap, true)
}

// MallocSlice returns n bytes whose contents are undefined.
func MallocSlice(n int) ([]byte, error) { return makeSlice[byte](n, n, false) }

// CallocSlice returns n bytes that are zero.
func CallocSlice(n int) ([]byte, error) { return makeSlice[byte](n, n, true) }

// AlignedSlice returns n bytes whose first lies at a multiple of align, a power of two. Their contents are
// undefined.
func AlignedSlice(n int, align uintptr) ([]byte, error) {
	if n < 0 {
		return nil, errSize(n)
	}
	p, err := AlignedAlloc(uintptr(n), align)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// Append appends values to a slice from Make, moving it where it has to grow, as append does. The old slice must
// not be used any more, unless Append returns an error: then it is as it was. A nil slice is a good start.
func Append[T any](s []T, values ...T) ([]T, error) {
	n := len(s) + len(values)
	if n <= cap(s) {
		return append(s, values...), nil
	}
	s, err := Grow(s, n)
	if err != nil {
		return s, err
	}
	return append(s, values...), nil
}

// Grow makes room for at least n elements in a slice from Make, and doubles it at least while it is small, so that
// repeated growth costs little. Elements beyond the length are zero. The old slice must not be used any more,
// unless Grow returns an error.
func Grow[T any](s []T, n int) ([]T, error) {
	if n <= cap(s) {
		return s, nil
	}
	if err := checkType(reflect.TypeFor[T]()); err != nil {
		return s, err
	}
	size := sizeOf[T]()
	if size == 0 {
		return unsafe.Slice((*T)(unsafe.Pointer(&zeroBase)), n)[:len(s)], nil
	}
	total, err := bytesFor(grownTo(cap(s), n), size)
	if err != nil {
		return s, err
	}
	p, err := Realloc(base(s), total)
	if err != nil {
		return s, err
	}
	usable := UsableSize(p)
	used := uintptr(len(s)) * size
	sys.Zero(uintptr(p)+used, usable-used)
	return unsafe.Slice((*T)(p), int(usable/size))[:len(s)], nil
}

// grownTo is the capacity that a slice of capacity old gets when it needs n: twice the old one up to 1 MiB of
// elements' count, then a quarter more, as with append.
func grownTo(old, n int) int {
	grown := old * 2
	if old > 1<<20 {
		grown = old + old/4
	}
	return max(grown, n)
}

// Clone returns a copy of s outside the Go heap, whatever s is: the caller owns it until FreeSlice.
func Clone[T any](s []T) ([]T, error) {
	c, err := makeSlice[T](len(s), len(s), false)
	if err == nil {
		copy(c, s)
	}
	return c, err
}

// FreeOf gives a T from New back. Nil is ignored.
func FreeOf[T any](p *T) {
	if unsafe.Sizeof(*p) != 0 {
		Free(unsafe.Pointer(p))
	}
}

// FreeSlice gives a slice from Make, Append, Clone, MallocSlice and the like back. It has to begin where the slice
// that these returned began; its length and capacity do not matter. An empty slice without capacity is ignored.
func FreeSlice[T any](s []T) {
	if sizeOf[T]() != 0 && cap(s) > 0 {
		Free(base(s))
	}
}

// OffHeapPtr is a link from one off-heap object to another. The zero value links nowhere. The collector does not
// follow it, and no write barrier looks at it. It must not be given an object of the Go heap.
type OffHeapPtr[T any] struct{ address uintptr }

// LinkTo is a link to the off-heap object p, or to nowhere.
func LinkTo[T any](p *T) OffHeapPtr[T] { return OffHeapPtr[T]{uintptr(unsafe.Pointer(p))} }

// Get is what the link leads to, or nil.
func (l OffHeapPtr[T]) Get() *T {
	// Not sys.At: the compiler takes the sum that it is for not nil, and drops comparisons.
	return *(**T)(unsafe.Pointer(&l.address))
}

// Set makes the link lead to the off-heap object p, or to nowhere.
func (l *OffHeapPtr[T]) Set(p *T) { l.address = uintptr(unsafe.Pointer(p)) }

// IsNil reports whether the link leads nowhere.
func (l OffHeapPtr[T]) IsNil() bool { return l.address == 0 }

// zeroBase is where slices of elements of no bytes begin.
var zeroBase [0]byte

func errSize(n int) error { return fmt.Errorf("vcmalloc: a length of %d", n) }

// sizeOf is the size of a T. No Go type needs more than the 16 bytes of alignment that every object has.
func sizeOf[T any]() uintptr {
	var zero T
	return unsafe.Sizeof(zero)
}

func base[T any](s []T) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }

// bytesFor is n elements' size in bytes.
func bytesFor(n int, size uintptr) (uintptr, error) {
	if n < 0 {
		return 0, errSize(n)
	}
	hi, lo := bits.Mul64(uint64(n), uint64(size))
	if hi != 0 || lo > maxRequest {
		return 0, ErrOutOfMemory
	}
	return uintptr(lo), nil
}

func makeSlice[T any](n, capacity int, zeroed bool) ([]T, error) {
	if n < 0 || capacity < n {
		return nil, fmt.Errorf("vcmalloc: a slice of length %d and capacity %d", n, capacity)
	}
	if err := checkType(reflect.TypeFor[T]()); err != nil {
		return nil, err
	}
	size := sizeOf[T]()
	if size == 0 {
		return unsafe.Slice((*T)(unsafe.Pointer(&zeroBase)), capacity)[:n], nil
	}
	total, err := bytesFor(capacity, size)
	if err != nil {
		return nil, err
	}
	if !DebugEnabled() { // there the red zone begins where the request ends
		total = RoundSize(total)
	}
	var p unsafe.Pointer
	if zeroed {
		p, err = Zeroed(total)
	} else {
		p, err = Malloc(total)
	}
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*T)(p), int(total/size))[:n], nil
}
