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
// Released; Metadata is mapped besides. What debug mode keeps back after a free is Cached.
//
// Usable and the rest are counted. Requested can't be: an object does not carry the size it was asked with, only its
// class's. Exact is what an Account counts, for its purpose, and Requested in debug mode.
type Stats struct {
	Requested uintptr // what the program asked for, of what it holds; see Samples
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

	// Samples is how many sampled objects Requested is estimated from (StartSampling): Usable, times the share of it
	// that was asked for in them. 0: there are none, and Requested is Usable, an upper bound. -1: it is exact.
	Samples int
}

// ReadStats reads the counters: some 50 us, during which the goroutine is pinned.
func ReadStats() Stats {
	if start() != nil {
		return Stats{}
	}
	var s heap.Stats
	large, missed := countStashes()
	procPin()
	core.Stats(&s)
	procUnpin()
	out := Stats{
		Usable: s.Used + s.Large, Mapped: s.Mapped, Slack: s.Slack, Cached: s.PerCPU + s.Transfer + s.Central,
		Free: s.FillerFree + s.Cache, Released: s.FillerReleased + s.Unbacked, Metadata: s.Meta,
		Objects: s.UsedObjects + s.LargeObjects, Misses: s.Underflows + s.Overflows + missed,
	}
	large = min(large, out.Free) // the heap counts these as free pages
	out.Cached, out.Free = out.Cached+large, out.Free-large
	out.Resident = out.Mapped - out.Released + out.Metadata
	if DebugEnabled() {
		debugStats(&out)
	} else {
		share, n := sampler.density()
		out.Requested, out.Samples = uintptr(float64(out.Usable)*share), n
	}
	return out
}

// density is the share of usable bytes that were asked for, as far as samples tell; 1 without any. n is how many
// there are.
func (s *samplerState) density() (share float64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, usable := 0.0, 0.0
	for _, o := range s.live {
		asked += o.weight * float64(o.size)
		usable += o.weight * float64(RoundSize(o.size))
	}
	if usable == 0 {
		return 1, 0
	}
	return asked / usable, len(s.live)
}
