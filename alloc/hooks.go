package alloc

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// hooks says who looks at allocations on their way: nobody, as long as neither debug mode nor sampling is on. They
// close the door for allocation, so that it costs the fast path nothing.
var hooks atomic.Uint32

const (
	hookDebug uint32 = 1 << iota
	hookSample
)

// hooked serves an allocation of size bytes aligned to align (a power of two) while hooks are set. tag names its
// purpose. Preconditions: start succeeded.
func hooked(size, align uintptr, tag string) (unsafe.Pointer, error) {
	on := hooks.Load()
	switch {
	case on&hookDebug != 0:
		return debugMalloc(size, align, tag)
	case on&hookSample != 0 && sampler.due(size):
		return sampler.malloc(size, align, tag)
	}
	return plain(size, align)
}

// plain serves an allocation that no hook wants. Preconditions: start succeeded.
func plain(size, align uintptr) (unsafe.Pointer, error) {
	c := sizeclass.ForMalloc(size)
	if align > 16 {
		c = sizeclass.ForAligned(size, align)
	}
	if c == 0 {
		p, _ := allocLarge(size, align)
		return pointer(p)
	}
	if p := take(c); p&1 == 0 {
		sys.Store64(p, 0)
		return sys.At(p), nil
	}
	return pointer(allocClass(c))
}

// unhook lets the hooks have p, which is about to be freed. It reports whether that was all there was to do.
func unhook(p unsafe.Pointer) bool {
	on := hooks.Load()
	if on&hookDebug != 0 && debugFree(p) {
		return true
	}
	if on&hookSample != 0 && uintptr(p)&(units.PageSize-1) == 0 {
		sampler.forget(uintptr(p))
	}
	return false
}

// known is the size that was asked for p, if a hook remembers it.
func known(p unsafe.Pointer) (size uintptr, ok bool) {
	on := hooks.Load()
	if on&hookDebug != 0 {
		if size, ok = debugSize(p); ok {
			return size, true
		}
	}
	if on&hookSample != 0 && uintptr(p)&(units.PageSize-1) == 0 {
		return sampler.size(uintptr(p))
	}
	return 0, false
}
