package telemetry

import "time"

// Snapshot is one block, as it was when its process last wrote it. It is a plain copy: nothing in it changes
// any more, and any number of goroutines may read it.
type Snapshot struct {
	PID int `json:"pid"`

	// Started is when the heap was made (or the process forked), Updated when the block was written. Both are
	// kept on the monotonic clock, and shown on the wall clock of the moment of reading.
	Started time.Time `json:"started"`
	Updated time.Time `json:"updated"`

	// Writes is how often the block has been written.
	Writes uint64 `json:"writes"`

	Totals  Totals  `json:"totals"`
	Classes []Class `json:"classes"` // in order of size
	VCPUs   []VCPU  `json:"vcpus"`   // those the process ran on

	// Domains are the sets of CPUs that share a last-level cache; one where all do, or nothing is known yet.
	Domains []Domain `json:"domains"`

	// Nodes are the page heaps of NUMA nodes; none where the process uses one node only.
	Nodes []Node `json:"numa_nodes,omitempty"`

	started, updated int64 // nanoseconds of the monotonic clock: exact, to tell one heap from another
}

// Age is how long before now the block was written.
func (s *Snapshot) Age(now time.Time) time.Duration { return max(now.Sub(s.Updated), 0) }

// Totals is where the memory of a heap is. Mapped is the sum of Parts, to the byte, when the process is at rest.
type Totals struct {
	Mapped uint64 `json:"mapped_bytes"` // address space handed out to the heap

	Used           uint64 `json:"used_bytes"`            // objects of size classes in the application's hands, by class size
	Large          uint64 `json:"large_bytes"`           // larger objects, by whole pages
	Slack          uint64 `json:"slack_bytes"`           // ends of spans too short for an object
	PerCPU         uint64 `json:"percpu_bytes"`          // free objects in per-CPU caches
	Transfer       uint64 `json:"transfer_bytes"`        // free objects in transfer caches
	Central        uint64 `json:"central_bytes"`         // free objects in spans
	FillerFree     uint64 `json:"filler_free_bytes"`     // free pages of hugepages in use
	FillerReleased uint64 `json:"filler_released_bytes"` // the same, without memory: given back to the system
	Cache          uint64 `json:"cache_bytes"`           // whole free hugepages that have memory
	Unbacked       uint64 `json:"unbacked_bytes"`        // whole free hugepages that have none

	Meta uint64 `json:"metadata_bytes"` // tables, mapped besides; touched as needed
	Side uint64 `json:"side_bytes"`     // mapped besides, for allocations that came while a fork was under way

	UsedObjects  uint64 `json:"used_objects"`
	LargeObjects uint64 `json:"large_objects"`

	// Counted since the heap was made.
	SpansAllocated  uint64 `json:"spans_allocated"`
	SpansFreed      uint64 `json:"spans_freed"`
	HugepagesGrown  uint64 `json:"hugepages_grown"`
	ReleasedBytes   uint64 `json:"released_bytes"` // given back to the system
	MadviseFailures uint64 `json:"madvise_failures"`
	Underflows      uint64 `json:"underflows"` // misses of per-CPU caches on allocation
	Overflows       uint64 `json:"overflows"`  // and on free

	// Where in the page heap spans are, in bytes: in hugepages they share, in regions; the rest has whole hugepages.
	// RegionFree is the part of FillerFree that lies in regions.
	FillerUsed uint64 `json:"filler_used_bytes"`
	RegionUsed uint64 `json:"region_used_bytes"`
	RegionFree uint64 `json:"region_free_bytes"`

	Collapsed    uint64 `json:"hugepages_collapsed"` // put behind small pages on request
	SoftHits     uint64 `json:"soft_limit_hits"`
	HardRefusals uint64 `json:"hard_limit_refusals"`

	// Objects that transfer caches and spans handed out again, of which is known in what last-level cache domain they
	// were freed; and of these, those handed to another domain. Nothing is counted where there is one domain, nor what
	// stays within one per-CPU cache.
	Reused  uint64 `json:"reused_objects"`
	Crossed uint64 `json:"crossed_objects"`

	// Forced is how many of Crossed had to, at least: by how much domains were at most ahead of their own frees with
	// what they were handed of a class, new objects not counted. It is a bound for however much memory is kept.
	Forced uint64 `json:"forced_objects"`

	// Carried counts the objects that per-CPU caches held when their vCPU was found in another domain: at most these
	// crossed within a per-CPU cache.
	Carried uint64 `json:"carried_objects"`

	// Hinted is the bytes of spans whose objects their callers gave a hint for (cold, short-lived, long-lived), whatever
	// part of Mapped they count as.
	Hinted uint64 `json:"hinted_span_bytes"`
}

// CrossedShare is the share of Crossed in Reused, 0 if nothing was counted.
func (t *Totals) CrossedShare() float64 {
	if t.Reused == 0 {
		return 0
	}
	return float64(t.Crossed) / float64(t.Reused)
}

// AvoidableShare is the share of Reused that crossed and may not have had to, 0 if nothing was counted.
func (t *Totals) AvoidableShare() float64 {
	if t.Reused == 0 {
		return 0
	}
	return float64(t.Crossed-min(t.Forced, t.Crossed)) / float64(t.Reused)
}

// Class is one size class; counts are objects unless named otherwise.
type Class struct {
	ID        int    `json:"id"`
	Size      uint64 `json:"size_bytes"` // of an object
	SpanPages uint64 `json:"span_pages"` // of 8 KiB

	Used     uint64 `json:"used"`     // in the application's hands
	PerCPU   uint64 `json:"percpu"`   // free, in per-CPU caches
	Transfer uint64 `json:"transfer"` // free, in the transfer cache
	Free     uint64 `json:"free"`     // free, in spans

	TransferCapacity uint64 `json:"transfer_capacity"`
	Spans            uint64 `json:"spans"` // spans of this class now

	// Counted since the heap was made.
	Fetched           uint64 `json:"spans_fetched"` // spans taken from the page heap
	Returned          uint64 `json:"spans_returned"`
	TransferHits      uint64 `json:"transfer_hits"` // objects
	TransferMisses    uint64 `json:"transfer_misses"`
	CentralContended  uint64 `json:"central_lock_waits"`
	TransferContended uint64 `json:"transfer_lock_waits"`
	Reused            uint64 `json:"reused"` // as in Totals
	Crossed           uint64 `json:"crossed"`

	Bands []Band `json:"return_bands"` // in order of live objects; those in which a span was seen
}

// Active reports whether the class ever had a span.
func (c *Class) Active() bool { return c.Fetched > 0 }

// VCPU is one virtual CPU's cache.
type VCPU struct {
	ID        int    `json:"id"`
	SlabBytes uint64 `json:"slab_bytes"`      // address space of the slab; what is touched is less. 0: given back
	Used      uint64 `json:"used_bytes"`      // free objects it holds
	Capacity  uint64 `json:"capacity_bytes"`  // its budget: what it may hold, over all classes
	Available uint64 `json:"available_bytes"` // of its budget, not given to any class yet

	// Counted since the heap was made.
	Underflows uint64 `json:"underflows"`
	Overflows  uint64 `json:"overflows"`
	Drains     uint64 `json:"drains"`  // how often it was emptied because the vCPU was idle
	Steals     uint64 `json:"steals"`  // how often a class lost capacity to another class or vCPU
	Resizes    uint64 `json:"resizes"` // how often its slab was laid out anew
}

// Domain is the transfer caches of one last-level cache domain.
type Domain struct {
	ID    int    `json:"id"`
	Open  bool   `json:"open"` // it has caches of its own: the process runs in it, and in others
	CPUs  int    `json:"cpus"`
	Bytes uint64 `json:"cached_bytes"`

	// Counted since the heap was made: objects.
	Hits   uint64 `json:"hits"`
	Misses uint64 `json:"misses"`
}

// Node is the page heap of a NUMA node. Mapped is the sum of the three that follow it.
type Node struct {
	ID   int `json:"id"` // as the kernel numbers it
	CPUs int `json:"cpus"`

	Mapped   uint64 `json:"mapped_bytes"`   // its part of the heap's
	Spans    uint64 `json:"span_bytes"`     // in spans: objects in use and free, and larger ones
	Free     uint64 `json:"free_bytes"`     // free in its page heap, with memory
	Unbacked uint64 `json:"unbacked_bytes"` // free there, without

	// Counted since the heap was made; objects: those that transfer caches and spans handed to the node's own CPUs,
	// to others that had no memory of their own left, and those freed on other nodes' CPUs that came back.
	SpansAllocated uint64 `json:"spans_allocated"`
	Near           uint64 `json:"near_objects"`
	Far            uint64 `json:"far_objects"`
	Home           uint64 `json:"returned_objects"`
}

// Part is one of the places the heap's memory is in.
type Part struct {
	Name  string // short and fixed: the value of the label "part" in metrics
	Help  string
	Bytes uint64
}

// Parts are the ten places whose sum is Mapped.
func (t *Totals) Parts() [10]Part {
	return [...]Part{
		{"used", "in use: objects of size classes", t.Used},
		{"large", "in use: larger objects", t.Large},
		{"slack", "slack: ends of spans", t.Slack},
		{"percpu", "cached per CPU", t.PerCPU},
		{"transfer", "cached in transfer caches", t.Transfer},
		{"central", "free in spans (central free list)", t.Central},
		{"filler_free", "free in hugepages in use (page heap)", t.FillerFree},
		{"filler_released", "released, in hugepages in use", t.FillerReleased},
		{"cache", "free hugepages (page heap)", t.Cache},
		{"unbacked", "free hugepages without memory", t.Unbacked},
	}
}

// InUse is what the application holds, rounded up to size classes and pages.
func (t *Totals) InUse() uint64 { return t.Used + t.Large }

// Cached is the free objects of all tiers above the page heap.
func (t *Totals) Cached() uint64 { return t.PerCPU + t.Transfer + t.Central }

// PageHeapFree is the free pages that have memory.
func (t *Totals) PageHeapFree() uint64 { return t.FillerFree + t.Cache }

// Backed is the part of Mapped that may have memory: all but what was given back or never touched.
func (t *Totals) Backed() uint64 { return t.Mapped - t.FillerReleased - t.Unbacked }

// WholeUsed is how many bytes of spans have hugepages of their own.
func (t *Totals) WholeUsed() uint64 {
	spans := t.Used + t.Large + t.Slack + t.PerCPU + t.Transfer + t.Central
	return spans - min(spans, t.FillerUsed+t.RegionUsed)
}
