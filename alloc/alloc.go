package alloc

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// ErrOutOfMemory is returned when the system has no memory or address space for a request.
var ErrOutOfMemory = errors.New("vcmalloc: out of memory")

// ErrAlignment is returned for an alignment that is not a power of two.
var ErrAlignment = errors.New("vcmalloc: the alignment is not a power of two")

// procPin disables preemption and returns the P's number; procUnpin undoes it. The runtime keeps both
// reachable by linkname.
//
//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

var ready = sync.OnceValue(func() bool {
	var o heap.Options
	o.Seed = uint64(sys.Now()) ^ uint64(sys.Getpid())<<32
	return heap.Process.Init(&o)
})

// start makes the process's heap at the first call.
func start() error {
	if !ready() {
		return fmt.Errorf("%w: no address space for the heap", ErrOutOfMemory)
	}
	return nil
}

// pointer turns an address from the heap into a pointer; 0 means that memory was short.
func pointer(p uintptr) (unsafe.Pointer, error) {
	if p == 0 {
		return nil, ErrOutOfMemory
	}
	return sys.At(p), nil
}

// Malloc returns size bytes, aligned to 16. Their contents are undefined. A request of 0 bytes gets an
// object of its own. The caller owns the memory until Free.
func Malloc(size uintptr) (unsafe.Pointer, error) {
	if err := start(); err != nil {
		return nil, err
	}
	procPin()
	p := heap.Process.Malloc(size)
	procUnpin()
	return pointer(p)
}

// Calloc returns memory for n objects of size bytes each, zeroed.
func Calloc(n, size uintptr) (unsafe.Pointer, error) {
	hi, total := bits.Mul64(uint64(n), uint64(size))
	if hi != 0 {
		return nil, ErrOutOfMemory
	}
	if err := start(); err != nil {
		return nil, err
	}
	procPin()
	p, zeroed := heap.Process.Zeroed(uintptr(total))
	procUnpin()
	if p != 0 && !zeroed { // outside the pin: clearing may take long
		sys.Zero(p, uintptr(total))
	}
	return pointer(p)
}

// AlignedAlloc returns size bytes aligned to align, a power of two.
func AlignedAlloc(size, align uintptr) (unsafe.Pointer, error) {
	if bits.OnesCount64(uint64(align)) != 1 {
		return nil, fmt.Errorf("%w: %d", ErrAlignment, align)
	}
	if err := start(); err != nil {
		return nil, err
	}
	procPin()
	p := heap.Process.Aligned(size, align)
	procUnpin()
	return pointer(p)
}

// Realloc makes the object at p size bytes large, keeping its contents up to the smaller of the two sizes,
// and returns where it is then. On an error the object at p is as it was. Realloc(nil, size) is Malloc(size).
func Realloc(p unsafe.Pointer, size uintptr) (unsafe.Pointer, error) {
	if p == nil {
		return Malloc(size)
	}
	if err := start(); err != nil {
		return nil, err
	}
	procPin()
	old, done := heap.Process.ResizeInPlace(uintptr(p), size, heap.CallRealloc)
	procUnpin()
	if done {
		return p, nil
	}
	q, err := Malloc(size)
	if err != nil {
		return nil, err
	}
	heap.Move(uintptr(q), uintptr(p), min(old, size))
	Free(p)
	return q, nil
}

// Free gives the object at p back. Free(nil) does nothing.
func Free(p unsafe.Pointer) {
	if p == nil || start() != nil {
		return
	}
	procPin()
	heap.Process.Free(uintptr(p), heap.CallFree)
	procUnpin()
}

// FreeSized is Free for callers that know the size they asked for; a wrong one is reported like a bad
// pointer.
func FreeSized(p unsafe.Pointer, size uintptr) {
	if p == nil || start() != nil {
		return
	}
	procPin()
	heap.Process.FreeSized(uintptr(p), size, 0, false, heap.CallFreeSized)
	procUnpin()
}

// UsableSize is how many bytes the object at p has: at least what was asked for.
func UsableSize(p unsafe.Pointer) uintptr {
	if p == nil || start() != nil {
		return 0
	}
	procPin()
	n := heap.Process.Usable(uintptr(p))
	procUnpin()
	return n
}

// ReleaseMemory returns free memory to the system, as much as there is, and reports how many bytes.
func ReleaseMemory() uintptr {
	if start() != nil {
		return 0
	}
	procPin() // for as long as the system calls take: a lock may be held between them
	n := heap.Process.Trim()
	procUnpin()
	return n
}

// Stats tells where the memory is, in bytes.
type Stats struct {
	Mapped   uintptr // address space handed out to the heap
	InUse    uintptr // objects in the program's hands, rounded up to size classes and pages
	Cached   uintptr // free objects in caches and spans
	Free     uintptr // free pages that have memory
	Released uintptr // free pages that have none
	Metadata uintptr // mapped besides, for tables
}

// ReadStats reads the counters.
func ReadStats() Stats {
	if start() != nil {
		return Stats{}
	}
	var s heap.Stats
	procPin()
	heap.Process.Stats(&s)
	procUnpin()
	return Stats{
		Mapped: s.Mapped, InUse: s.Used + s.Large, Cached: s.PerCPU + s.Transfer + s.Central,
		Free: s.FillerFree + s.Cache, Released: s.FillerReleased + s.Unbacked, Metadata: s.Meta,
	}
}
