//go:build race

package alloc

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
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
	if a-door.base < door.grown.Load() {
		page, off := (a-door.base)>>units.PageShift, a&(units.PageSize-1)
		c := units.ClassID(sys.Byte(door.classes + page))
		if c > sizeclass.LastOnePage {
			off = longOffset(page, a)
		}
		if c != 0 && sizeclass.Divides(c, off) && sys.Load32(a+4) != uint32(door.mark) {
			sys.Store64(a, door.mark) // a second free will see it
			if !put(c, a) {
				freeMarked(p)
			}
			return
		}
	}
	freeSlow(p)
}
