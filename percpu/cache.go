package percpu

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
	"github.com/vcmalloc/vcmalloc/transfer"
)

// DefaultLimit is the byte budget of a vCPU's cache; LegacyLimit the static one of the legacy design (paper
// section 5.4.1).
const (
	DefaultLimit units.Bytes = 3 << 19
	LegacyLimit  units.Bytes = 3 << 20
)

// MaxVCPUs bounds the slab table. Linux distributions build for at most 8192 CPUs.
const MaxVCPUs = 8192

// Sequences are the addresses of the restartable sequences of the C door. All act on the vCPU the caller
// runs on at that moment, and do nothing on one whose slab is stopped.
type Sequences struct {
	VCPU uintptr // () the current vCPU, -1 when this thread is not registered
	Pop  uintptr // (class) an object or 0
	Push uintptr // (class, objects, n) how many fitted
	PopN uintptr // (class, out, n) how many came
	End  uintptr // (class, slab, old end, new end) 1 if changed: see swapEnd
	Swap uintptr // (slab, other) 1 if the slab was in the table for the current vCPU, where other is now
	CPU  uintptr // () the CPU's number; 0: the processor is asked
	Turn uintptr // () which slab, modulo their number, the thread uses where locks guard them; 0: its CPU's
}

// Options of a Cache.
type Options struct {
	// Table is the memory of the slab table, MaxVCPUs words, and Empty the empty slab's address: each header has
	// an odd top and the index 1, each end is 0. 0: the cache makes its own, as it may when nothing but Go code
	// reads them.
	Table, Empty uintptr
	Sequences    Sequences // without VCPU: slabs are guarded by locks
	Exact        bool      // a sequence's vCPU is the number of the CPU it runs on: visit.go
	Pinned       bool      // slabs belong to the Ps of the Go runtime, and callers use AllocOn and FreeOn
	VCPUs        uintptr   // how many there may be; 0: ask the system
	Limit        units.Bytes
	Policy       Policy
}

// Policy says what becomes of a vCPU's budget.
type Policy uint8

const (
	Demand Policy = iota // it follows what classes were refused for want of it, smoothed
	Paper                // it follows the misses of the last interval: the paper's rule
	Static               // it never changes, slabs have one fixed layout, nothing is drained: the legacy design
)

// Cache is the per-vCPU caches of a heap and the transfer caches below them.
type Cache struct {
	seq    Sequences
	table  uintptr
	empty  uintptr
	vcpus  uintptr
	limit  units.Bytes
	fence  uint32 // see fenceUnknown
	exact  bool
	policy Policy
	pinned uint32 // see pinnedOff

	entryShift uint32   // log2 of the distance of two entries of table, in bytes
	tables     vm.Table // the cache's own slab table and empty slab
	infos      vm.Table
	slabs      vm.Table   // address space only: slabs are mapped one by one
	loads      vm.Table   // what balancing remembers, by vCPU
	high       uint32     // one past the last vCPU ever populated
	first      units.VCPU // where balancing goes on looking for sources

	Transfer transfer.Tier
}

// info is what is known of one vCPU. Its owner's slow paths write it plainly: a lost update costs a little
// precision. Only bytes are exact.
type info struct {
	mu         sys.VCPULock
	slab       uintptr // 0: not populated
	shift      uint32
	place      uint32 // in which of its two places the slab lies
	mapped     uint32 // the slabs that have been mapped: bit shift-minShift + shifts*place
	hand       uint32 // where stealing goes on
	available  int64  // bytes of the budget that no class has; atomic
	capacity   int64  // bytes of the budget; atomic
	refused    int64  // bytes that classes wanted to grow by and the budget had not
	underflows uint64
	overflows  uint64
	laidOut    uint64 // misses when the slab was laid out
	room       uint32 // how many sizes larger than need be its slabs are laid out
	outgrown   uint32 // batches wanted since then that the layout had no room for
	resizes    uint32
	drains     uint32
	steals     uint32
	domain     uint32 // the last-level cache domain it last missed in, as transfer.Here tells
	carried    uint64 // objects it held when it was found in another domain
	visit      visit
	class      [sizeclass.NumClasses]classInfo
}

type classInfo struct {
	last    uint32 // the vCPU's count of misses, low 32 bits, when this class last missed
	gap     uint32 // misses of the vCPU from one miss of this class to the next, smoothed, times gapUnit
	spilled uint32 // objects that went down in the last run of overflows
	seen    uint32 // at the last look of DrainIdle: slab.glance
	history history
	quiet   uint8 // looks in a row that found nothing new
	busy    bool  // it has missed since the last look
}

const (
	infoShift = 11 // 2 KiB
	areaShift = maxShift + 2
)

const _ = uint(1<<infoShift - unsafe.Sizeof(info{}))

// Init prepares the tables. Preconditions: the page heap is initialised.
func (k *Cache) Init(o Options) bool {
	if o.VCPUs == 0 {
		o.VCPUs = sys.MaxCPUs()
	}
	if o.VCPUs == 0 { // unknown: a sequence may see any vCPU, while all can share a slab with a lock
		o.VCPUs = 1
		if o.Sequences.VCPU != 0 {
			o.VCPUs = MaxVCPUs
		}
	}
	k.seq, k.table, k.empty = o.Sequences, o.Table, o.Empty
	k.vcpus = min(o.VCPUs, MaxVCPUs)
	k.limit, k.policy, k.exact = o.Limit, o.Policy, o.Exact
	if k.limit == 0 {
		k.limit = DefaultLimit
		if k.policy == Static {
			k.limit = LegacyLimit
		}
	}
	pages := &k.Transfer.Central.Pages
	k.entryShift = 3
	if o.Pinned {
		k.initPinned()
	}
	if k.table == 0 {
		if !pages.NewMappedTable(&k.tables, firstWord*wordBytes+k.vcpus<<k.entryShift) {
			return false
		}
		k.empty = k.tables.Base()
		k.table = k.empty + firstWord*wordBytes
		for c := units.ClassID(0); c < sizeclass.NumClasses; c++ {
			slab(k.empty).store(c, makeHeader(1, 1))
		}
	}
	if !pages.NewMappedTable(&k.infos, k.vcpus<<infoShift) || !pages.NewEmptyTable(&k.slabs, k.vcpus<<areaShift) ||
		!pages.NewMappedTable(&k.loads, k.vcpus*unsafe.Sizeof(load{})) {
		return false
	}
	for v := uintptr(0); v < k.vcpus; v++ {
		atomic.StoreUintptr(k.entry(units.VCPU(v)), k.empty)
	}
	k.Transfer.CPU = o.Sequences.CPU
	return k.Transfer.Init()
}

func (k *Cache) entry(v units.VCPU) *uintptr {
	return (*uintptr)(sys.At(k.table + uintptr(v)<<k.entryShift))
}
func (k *Cache) info(v units.VCPU) *info {
	return (*info)(sys.At(k.infos.Base() + uintptr(v)<<infoShift))
}

// locked reports whether slabs are guarded by locks instead of restartable sequences.
func (k *Cache) locked() bool { return k.seq.VCPU == 0 && k.pinned == pinnedOff }

// VCPUs is how many vCPUs there may be.
func (k *Cache) VCPUs() units.VCPU { return units.VCPU(k.vcpus) }

// used is one past the last vCPU the process has run on.
func (k *Cache) used() units.VCPU { return units.VCPU(atomic.LoadUint32(&k.high)) }

// current is the vCPU the caller runs on, or -1 if it can't use any slab.
func (k *Cache) current() units.VCPU {
	if k.pinned != pinnedOff {
		return -1 // the caller knows its P, but did not say so
	}
	if !k.locked() {
		v := units.VCPU(sys.CallC(k.seq.VCPU, 0, 0, 0, 0))
		if uintptr(v) >= k.vcpus {
			return -1
		}
		return v
	}
	turn := int32(0)
	switch {
	case k.seq.Turn != 0:
		turn = int32(sys.CallC(k.seq.Turn, 0, 0, 0, 0))
	case k.seq.CPU != 0:
		turn = int32(sys.CallC(k.seq.CPU, 0, 0, 0, 0))
	default:
		turn = sys.CurrentCPU()
	}
	return units.VCPU(uintptr(max(turn, 0)) % k.vcpus)
}

// area is where the slab of vCPU v and of 1<<shift bytes lies: each size has two places, aligned to the size.
func (k *Cache) area(v units.VCPU, shift, place uint32) uintptr {
	return k.slabs.Base() + uintptr(v)<<areaShift + uintptr(place)<<(areaShift-1) + 1<<shift
}

// populate gives vCPU v its first slab, or the first after it was released.
func (k *Cache) populate(v units.VCPU) bool {
	in := k.info(v)
	in.mu.Lock()
	ok := in.slab != 0
	if !ok {
		if in.capacity == 0 {
			in.capacity = int64(k.limit)
			atomic.StoreInt64(&in.available, int64(k.limit))
		}
		shift := uint32(minShift)
		if k.policy == Static {
			shift = legacyShift
		}
		var none needs
		s := k.newSlab(v, in, shift, in.place, &none)
		if ok = s != 0; ok {
			atomic.StoreUint32(&in.shift, shift)
			k.raise(uint32(v) + 1)
			atomic.StoreUintptr(&in.slab, uintptr(s))
			atomic.StoreUintptr(k.entry(v), uintptr(s))
		}
	}
	in.mu.Unlock()
	return ok
}

func (k *Cache) raise(high uint32) {
	for {
		h := atomic.LoadUint32(&k.high)
		if h >= high || atomic.CompareAndSwapUint32(&k.high, h, high) {
			return
		}
	}
}

// misses is the number of underflows and overflows of vCPU v so far.
func (in *info) misses() uint64 { return in.underflows + in.overflows }
