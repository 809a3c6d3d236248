//go:build race

package alloc

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// Malloc returns size bytes, aligned to 16. Their contents are undefined. A request of 0 bytes gets an
// object of its own. The caller owns the memory until Free.
func Malloc(size uintptr) (unsafe.Pointer, error) {
	if size < door.small.Load() {
		if p := take(sizeclass.ForMalloc(size)); p&1 == 0 {
			sys.Store64(p, 0) // the mark of a free object
			return sys.At(p), nil
		}
	}
	return mallocSlow(size)
}

// Free gives the object at p back. Free(nil) does nothing. Freeing an object twice, or a pointer that is none,
// costs a line on standard error and ends the process.
func Free(p unsafe.Pointer) {
	a := uintptr(p)
	if c := markFreed(a); c == 0 {
		freeSlow(p)
	} else if !put(c, a) {
		freeMarked(p)
	}
}
