// Package block is the layout of the statistics block: what a process publishes of its heap, in memory or, with
// VCMALLOC_STATS_DIR, in a file that other processes map. It belongs to the runtime-free core: plain numbers
// at fixed offsets, no code that runs at start-up.
//
// # Protocol
//
// The writer makes Sequence odd, writes, and makes it even. A reader copies the block between two reads of
// Sequence that are even and equal, and tries again otherwise. Readers check Magic and Version first: within a
// version fields are only added in place of reserved ones.
package block

// Identification. The file of process N in the directory is named vcmalloc.N.
const (
	Magic   = 0x6b636f6c_424d4356 // "VCMBlock", little-endian
	Version = 4

	MaxClasses = 96
	MaxVCPUs   = 512 // rows; vCPUs beyond are counted in the totals only
	MaxDomains = 64
	MaxNodes   = 16
	Bands      = 11
)

// Block is the whole: four header lines, the totals, rows of size classes, vCPUs,
// last-level cache domains, size classes again, and NUMA nodes. Sizes in bytes.
type Block struct {
	Magic    uint64
	Version  uint32
	Bytes    uint32 // of the block
	Sequence uint64
	PID      uint64
	Started  int64 // nanoseconds of the monotonic clock when the heap was made
	Updated  int64 // and when the block was last written
	Classes  uint32
	VCPUs    uint32
	Domains  uint32 // 1 where all CPUs share a last-level cache, or it is not known yet
	Nodes    uint32 // NUMA nodes with page heaps of their own; 1 where the process uses but one

	Total  Totals
	Class  [MaxClasses]Class
	PerCPU [MaxVCPUs]VCPU
	Domain [MaxDomains]Domain
	Return [MaxClasses]Returns
	Node   [MaxNodes]Node
}

// Totals: Mapped is the sum of the ten that follow it, to the byte, when the process is quiescent.
type Totals struct {
	Mapped         uint64 // of the heap's window, handed out to the tiers
	Used           uint64 // objects of size classes in the application's hands, by class size
	Large          uint64 // larger objects, by whole pages
	Slack          uint64 // tails of spans
	PerCPU         uint64 // objects in per-CPU caches
	Transfer       uint64 // objects in transfer caches
	Central        uint64 // free objects in spans
	FillerFree     uint64 // free pages of hugepages in use
	FillerReleased uint64 // the same, given back to the system
	Cache          uint64 // whole free hugepages, backed
	Unbacked       uint64 // whole free hugepages without memory

	Meta            uint64 // tables, mapped besides
	Side            uint64 // side region, mapped besides
	UsedObjects     uint64
	LargeObjects    uint64
	SpansAllocated  uint64
	SpansFreed      uint64
	HugeGrown       uint64 // hugepages added to the window
	Released        uint64 // bytes given back to the system, ever
	MadviseFailures uint64
	Underflows      uint64 // misses of per-CPU caches on allocation, all vCPUs
	Overflows       uint64 // and on free
	Reused          uint64 // objects the middle tiers handed out again of which is known what domain freed them
	Crossed         uint64 // of these, freed in another last-level cache domain than they were handed to
	FillerUsed      uint64 // bytes of spans in hugepages that spans share
	RegionUsed      uint64 // and in regions; the other spans have whole hugepages
	RegionFree      uint64 // free and backed pages of regions, part of FillerFree
	Collapsed       uint64 // hugepages put behind small pages on request
	SoftHits        uint64 // times the soft limit was exceeded
	HardRefusals    uint64 // requests refused because of the hard limit
	Carried         uint64 // objects in vCPU caches when these were found in another last-level cache domain
	Forced          uint64 // of Crossed, at least so many had to: their domains had been handed more than they had freed
	Hinted          uint64 // bytes of spans whose objects their callers gave a hint for, part of Used, Large, Slack and Central
}

// Class is one size class; counts are objects.
type Class struct {
	Size, Pages                   uint32
	Used, Free                    uint64
	PerCPU, Transfer              uint32
	TransferCapacity, Spans       uint32
	Fetched, Returned             uint64 // spans taken from and given back to the page heap
	TransferHits, TransferMisses  uint64
	CentralContended, XferContend uint32 // lock acquisitions that had to wait
	Reused, Crossed               uint64 // as in Totals
}

// VCPU is one vCPU's cache. A row of zeros is a vCPU the process never ran on; one whose slab was given back because
// it was idle has SlabBytes 0, and its budget.
type VCPU struct {
	SlabBytes, Used, Capacity, Available uint64
	Underflows, Overflows                uint64
	Drains                               uint64
	Steals                               uint32 // how often a class lost capacity to another class or vCPU
	Resizes                              uint32 // of the slab
}

// Domain is the transfer caches of one last-level cache domain, where the process runs in several.
type Domain struct {
	Open, CPUs   uint32 // whether it has caches of its own now; CPUs online when the topology was read
	Bytes        uint64 // of free objects in them
	Hits, Misses uint64 // objects
	_            [16]byte
}

// Node is the page heap of one NUMA node, where the process uses several. Mapped is the sum of the three that follow it.
type Node struct {
	Kernel, CPUs       uint32 // the kernel's number of it; CPUs online when the topology was read
	Mapped             uint64 // its part of Totals.Mapped
	Spans, Free, Empty uint64 // bytes in spans; free with memory; free without
	SpansAllocated     uint64
	Near               uint64 // objects that the middle tiers handed to its own CPUs
	Far                uint64 // and to others, whose own nodes had no memory
	Home               uint64 // objects freed on other nodes' CPUs that came back
	_                  [3]uint64
}

// Returns says how often spans of a size class are returned to the page heap, by their live objects: band b is
// 2^b to 2^(b+1)-1. Seen counts spans at each snapshot, about one a second; Gone those returned before the next.
type Returns struct{ Seen, Gone [Bands]uint64 }
