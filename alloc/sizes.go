package alloc

import (
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// SizeClasses lists the sizes of small objects in bytes, ascending. A request gets an object of the smallest class
// that holds it; above the last class, MaxSmall, whole pages of PageSize bytes.
func SizeClasses() []uintptr {
	sizes := make([]uintptr, 0, sizeclass.NumClasses)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		if n := sizeclass.Size(c); n >= 16 { // smaller ones serve C++ only
			sizes = append(sizes, n)
		}
	}
	return sizes
}

// MaxSmall is the largest size class in bytes, and PageSize the unit of what is larger. HugePageSize is the unit
// in which memory is best for the processor's address translation.
const (
	MaxSmall     uintptr = units.MaxSmall
	PageSize     uintptr = units.PageSize
	HugePageSize uintptr = units.HugePageSize
)

// RoundSize is how many bytes an object for a request of size bytes has: what UsableSize would say of it.
func RoundSize(size uintptr) uintptr {
	if c := sizeclass.ForMalloc(size); c != 0 {
		return sizeclass.Size(c)
	}
	if size > maxRequest {
		return size
	}
	return uintptr(units.PagesFor(size)) << units.PageShift
}

// maxRequest is beyond what any address space holds, and small enough to be rounded up.
const maxRequest = 1 << 47
