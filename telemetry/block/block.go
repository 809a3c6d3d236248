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
	Version = 1

	MaxClasses = 96
	MaxVCPUs   = 512 // rows; vCPUs beyond are counted in the totals only
)

// Block is the whole: four header lines, the totals, a row per size class, a row per vCPU. Sizes in bytes.
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
	_        [8]byte

	Total  Totals
	Class  [MaxClasses]Class
	PerCPU [MaxVCPUs]VCPU
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
	_               [10]uint64
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
	_                             [8]byte
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
