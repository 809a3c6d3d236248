package alloc

import "github.com/vcmalloc/vcmalloc/internal/heap"

// ReleaseOSMemory returns free memory to the system, as much as there is, and reports how many bytes. Address
// ranges stay the heap's (MADV_DONTNEED): what may still be pointed to reads as zero, it never faults.
func ReleaseOSMemory() (n uintptr) {
	if start() != nil {
		return 0
	}
	dropStashes(false)
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

// Stats tells where the memory is, in bytes. When nobody allocates, Mapped = Usable + Slack + Cached + Free +
// Released; Metadata is mapped besides.
type Stats struct {
	Requested uintptr // what the program asked for, of what it holds: estimated by samples, Usable without any
	Usable    uintptr // objects in the program's hands, rounded up to size classes and pages
	Mapped    uintptr // address space handed out to the heap
	Resident  uintptr // of Mapped, what has memory; of Metadata, all: an upper bound, what was never touched has none
	Slack     uintptr // tails of spans that hold no object
	Cached    uintptr // free objects in caches and spans
	Free      uintptr // free pages that have memory
	Released  uintptr // free pages that have none
	Metadata  uintptr // mapped besides, for tables
	Objects   uint64  // in the program's hands
	Misses    uint64  // calls that a P's cache could not serve
}

// ReadStats reads the counters: some 50 us, during which the goroutine is pinned.
func ReadStats() Stats {
	if start() != nil {
		return Stats{}
	}
	var s heap.Stats
	procPin()
	core.Stats(&s)
	procUnpin()
	out := Stats{
		Usable: s.Used + s.Large, Mapped: s.Mapped, Slack: s.Slack, Cached: s.PerCPU + s.Transfer + s.Central,
		Free: s.FillerFree + s.Cache, Released: s.FillerReleased + s.Unbacked, Metadata: s.Meta,
		Objects: s.UsedObjects + s.LargeObjects, Misses: s.Underflows + s.Overflows,
	}
	bytes, objects, misses := stashed()
	bytes, objects = min(bytes, out.Usable), min(objects, out.Objects) // they were read a moment later
	out.Usable, out.Cached, out.Objects = out.Usable-bytes, out.Cached+bytes, out.Objects-objects
	out.Misses += misses
	out.Resident = out.Mapped - out.Released + out.Metadata
	out.Requested = uintptr(float64(out.Usable) * sampler.density())
	return out
}

// density is the share of usable bytes that were asked for, as far as samples tell; 1 without any.
func (s *samplerState) density() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, usable := 0.0, 0.0
	for _, o := range s.live {
		asked += o.weight * float64(o.size)
		usable += o.weight * float64(RoundSize(o.size))
	}
	if usable == 0 {
		return 1
	}
	return asked / usable
}
