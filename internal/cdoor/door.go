package cdoor

import (
	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// Flags of the calls below; the low byte of a free's flags is the heap.Call.
const (
	FlagNested = 1 << 8 // the thread was inside already: a signal handler
	FlagNew    = 1 << 9 // operator new: 8 bytes may be aligned to 8
	FlagExact  = 1 << 10
	FlagCold   = 1 << 11 // rarely touched
)

// Malloc serves what the fast path could not: size bytes, or 0.
//
//go:noinline
func Malloc(size, flags uintptr) uintptr {
	if flags&FlagNested != 0 {
		return heap.Process.NestedMalloc(size, 16)
	}
	var p uintptr
	if flags&FlagNew != 0 && size-1 < 8 {
		p = heap.Process.AllocClass(sizeclass.ForNew(size))
	} else {
		p = heap.Process.Malloc(size)
	}
	after()
	return p
}

// Calloc is Malloc of memory that reads as zero.
//
//go:noinline
func Calloc(size, flags uintptr) uintptr {
	if flags&FlagNested != 0 {
		p := heap.Process.NestedMalloc(size, 16)
		if p != 0 {
			sys.Zero(p, size)
		}
		return p
	}
	p, zeroed := heap.Process.Zeroed(size)
	if p != 0 && !zeroed {
		sys.Zero(p, size)
	}
	after()
	return p
}

// Aligned returns size bytes aligned to align, or 0. Preconditions: align is a power of two.
//
//go:noinline
func Aligned(size, align, flags uintptr) uintptr {
	if flags&FlagNested != 0 {
		return heap.Process.NestedMalloc(size, align)
	}
	var p uintptr
	if flags&FlagCold != 0 {
		p, _ = heap.Process.Hinted(size, align, pageheap.HintCold)
	} else {
		p = heap.Process.Aligned(size, align)
	}
	after()
	return p
}

// Realloc resizes p, which is not nil; 0 when memory is short.
//
//go:noinline
func Realloc(p, size, flags uintptr) uintptr {
	if flags&FlagNested != 0 {
		q := heap.Process.NestedMalloc(size, 16)
		if q != 0 {
			sys.Copy(q, p, min(size, heap.Process.Usable(p)))
			heap.Process.NestedFree(p, heap.Call(flags))
		}
		return q
	}
	q := heap.Process.Realloc(p, size, heap.Call(flags))
	after()
	return q
}

// Free takes back p, of which nothing is known yet.
//
//go:noinline
func Free(p, flags uintptr) {
	if flags&FlagNested != 0 {
		heap.Process.NestedFree(p, heap.Call(flags))
		return
	}
	heap.Process.Free(p, heap.Call(flags))
	heap.Process.Poll()
}

// FreeChecked takes back p, which the fast path found to be an object of the class, and marked.
//
//go:noinline
func FreeChecked(p, class, flags uintptr) {
	if flags&FlagNested != 0 {
		heap.Process.NestedFree(p, heap.CallFree)
		return
	}
	heap.Process.FreeChecked(p, units.ClassID(class))
	heap.Process.Poll()
}

// FreeSized takes back p, of which the caller says the size and alignment (0: none).
//
//go:noinline
func FreeSized(p, size, align, flags uintptr) {
	if flags&FlagNested != 0 {
		heap.Process.NestedFree(p, heap.Call(flags))
		return
	}
	heap.Process.FreeSized(p, size, align, flags&FlagExact != 0, heap.Call(flags))
	heap.Process.Poll()
}

// Usable is how many bytes p's object has.
//
//go:noinline
func Usable(p uintptr) uintptr { return heap.Process.Usable(p) }

// Good is how many bytes an allocation of size aligned to align would have; 0 if it could never be made.
//
//go:noinline
func Good(size, align uintptr) uintptr {
	if c := sizeclass.ForAligned(size, max(align, 1)); c != 0 {
		return sizeclass.Size(c)
	}
	if size > 1<<47 || align > 1<<47 {
		return 0
	}
	return max(size+units.PageSize-1, units.PageSize) &^ (units.PageSize - 1)
}

// after is what a slow allocation ends with.
func after() {
	refresh()
	heap.Process.Poll()
}

// ForkBegin, ForkParent and ForkChild surround fork; own is how often the forking thread is inside.
//
//go:noinline
func ForkBegin(own uintptr) { heap.Process.ForkBegin(uint32(own)) }

// ForkParent ends the fork in the parent.
//
//go:noinline
func ForkParent() { heap.Process.ForkParent() }

// ForkChild ends the fork in the child.
//
//go:noinline
func ForkChild(own uintptr) { heap.Process.ForkChild(uint32(own)) }

// Background does the work that is due and returns 1 if the caller should make a round of visits (percpu/visit.go).
//
//go:noinline
func Background() uintptr {
	if heap.Process.Background(sys.Now()) {
		return 1
	}
	return 0
}

// Visit does what is wanted of the CPU that the caller has reached, or not, and returns the one to go to next. ^0
// begins and ends a round.
//
//go:noinline
func Visit(cpu, reached uintptr) uintptr {
	return uintptr(heap.Process.Visit(units.VCPU(cpu), reached != 0))
}

// Release returns about n bytes of free memory to the system and reports how many this call returned.
//
//go:noinline
func Release(n uintptr) uintptr { return heap.Process.ReleaseBytes(n) }

// Trim returns free memory to the system and reports how many bytes.
//
//go:noinline
func Trim() uintptr { return heap.Process.Trim() }

// UseLocks gives restartable sequences up: the self-test found that they are not aborted. The C side has closed
// the fast path before.
//
//go:noinline
func UseLocks() {
	heap.Process.Front.UseLocks()
	fastAt(door.fast).locks()
}

// Exit ends the publishing of statistics when the process ends in the regular way.
//
//go:noinline
func Exit() { heap.Process.Unpublish() }
