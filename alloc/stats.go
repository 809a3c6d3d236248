package alloc

import "github.com/vcmalloc/vcmalloc/internal/heap"

// ReleaseMemory returns free memory to the system, as much as there is, and reports how many bytes. Address
// ranges stay the heap's: what may still be pointed to reads as zero, it never faults.
func ReleaseMemory() (n uintptr) {
	if start() != nil {
		return 0
	}
	for first := true; ; first = false {
		procPin() // for one step at a time: some 10 ms at most
		done, more := core.TrimStep(first)
		procUnpin()
		n += done
		if !more {
			return n
		}
	}
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
	core.Stats(&s)
	procUnpin()
	return Stats{
		Mapped: s.Mapped, InUse: s.Used + s.Large, Cached: s.PerCPU + s.Transfer + s.Central,
		Free: s.FillerFree + s.Cache, Released: s.FillerReleased + s.Unbacked, Metadata: s.Meta,
	}
}
