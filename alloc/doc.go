// Package alloc is the Go front door of vcmalloc: memory outside the Go heap, from the same tiers that serve C
// programs under LD_PRELOAD, without cgo. The collector neither scans nor moves it, so tens of GiB of cache, index
// or column data cost it nothing. docs/go.md is the guide; this page is the reference.
//
//   - Untyped: Malloc, Calloc, Realloc, Free, FreeSized, AlignedAlloc, AlignedRealloc, UsableSize, MallocBatch.
//   - Typed: New, Make, Append, Grow, Clone, FreeOf, FreeSlice; OffHeapPtr links objects.
//   - Bytes: MallocSlice, CallocSlice, AlignedSlice; Buffers is a pool.
//   - All at once: Arena and SharedArena, with NewIn, MakeIn, AppendIn, CloneIn, CopyBytes, CopyString.
//   - Futures: ShortLived, LongLived and Cold keep objects apart by what becomes of them; see Hint.
//   - Books: Account counts by purpose; ReadStats, SizeClasses, RoundSize; ReleaseOSMemory; SetMemoryLimit, TrackMemoryLimit.
//   - Bugs: StartSampling and Leaks, EnableDebug and CatchFaults, the build tag vcmdebug, ReportLeaks.
//
// # Rules for pointers
//
// Off-heap memory must hold no pointer into the Go heap: the collector would not see it, and free what it points
// to. The typed functions refuse types that could (CheckType); with untyped memory it is the caller's affair. Links
// between off-heap objects are OffHeapPtr, indexes or offsets.
//
// Pointers to off-heap memory may be held anywhere in the Go heap. They keep nothing alive: an object lives until it
// is freed, an arena's until Reset or Free. Its address stays mapped after that, and in time reads as zero or as
// somebody else's object; it is never unmapped under a pointer somebody still has.
//
// Slices from this package grow by Append and Grow. The built-in append works while there is capacity; beyond it,
// it copies to the Go heap, and the off-heap object is left behind. Strings from CopyString and unsafe conversions
// must not outlive their arena.
//
// runtime.AddCleanup and SetFinalizer refuse off-heap pointers: attach them to a handle on the Go heap.
//
// # Errors
//
// A request that can't be met returns ErrOutOfMemory, and nothing has changed. A double free of a small object that
// has not been handed out again, an interior pointer and a pointer that is none are found on the way, without debug
// mode: one line on standard error, and the process aborts. What that misses (writes after free, overflows) debug
// mode finds.
//
// # Concurrency
//
// All functions are safe for concurrent use; an Arena is for one goroutine at a time. Nothing waits for another
// goroutine: each P has a cache of its own, whose use is a critical section of some ten instructions in which
// the runtime can't stop the goroutine. Behind it, calls are pinned to their P while they hold locks of the heap, for
// some microseconds; nothing that takes longer (clearing, copying, more than a GiB of returns to the system) is.
//
// A goroutine of the package's does the heap's background work once a second: returning memory, moving budget
// between Ps, draining caches of Ps that are gone. It is pinned for one step of that at a time, some ten microseconds;
// up to some hundred where the step is system calls. It starts with the first call that a P's cache can't serve and
// ends after two minutes without one.
//
// # The race detector
//
// Under -race the package works as ever, but the detector does not see accesses to off-heap memory, neither races
// nor what orders them. EnableDebug with GoHeap takes objects from the Go heap, where it does.
//
// # Settings
//
// The VCMALLOC_ variables of docs/tuning.md are read at the first allocation. VCMALLOC_STATS and VCMALLOC_VCPU mean
// nothing here; with VCMALLOC_STATS_DIR a Go program is visible to the command vcmalloc like any other.
package alloc
