package transfer

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
	"github.com/vcmalloc/vcmalloc/topology"
)

const (
	// MaxDomains is how many domains can have caches of their own: two sockets of 512 CPUs with 16 CPUs a cache.
	// Domains beyond share those of the others.
	MaxDomains = centralfreelist.MaxDomains

	// none is no domain. Domains are numbered from 1 here, so that a tag of 0 says that nothing is known.
	none = 0

	// idleVisits is after how many visits without traffic a domain counts as left. A visit plunders, so two of them
	// have returned the objects already; what leaving saves is the look.
	idleVisits = 5
)

// shardSizes: an array may grow as large as a shared one. What lies dense is enough for a batch of any class.
func shardSizes() sizes {
	z := sharedSizes()
	z.batches, z.dense = 0, centralfreelist.MaxBatch
	return z
}

// shard is the caches of one domain; its slots follow it in memory.
type shard struct {
	group
	idle uint32 // visits without traffic
}

const shardHeader = (unsafe.Sizeof(shard{}) + 63) &^ 63

// States of a domain's shard.
const (
	unmapped = iota
	refused  // there was no memory for it: the shared caches serve the domain
	closed   // mapped, and empty but for what somebody puts there who saw it open
	open
)

// domains is what a tier knows of the machine's domains.
type domains struct {
	n      uint32 // how many, 0 until Divide has found more than one; atomic
	lone   uint32 // the one domain that is in use and so needs no shard; none: several are, or none yet. Atomic
	state  [MaxDomains]uint32
	opened uint32
	kernel [MaxDomains]uint16 // the kernel's number of the NUMA node that a domain belongs to
	stride uintptr
	table  vm.Table
	tags   vm.Table
	mu     sys.DomainLock // of changes of state and lone
}

// Divide finds out which CPUs share a last-level cache and, if not all do, gives domains caches of their own from
// now on. text is the address of VCMALLOC_TOPOLOGY's value, or 0; if it is bad, the results say where and how,
// and it counts as empty. To be called once, by a thread that may wait for some dozen files of sysfs.
func (t *Tier) Divide(text uintptr) (at int, fault topology.Fault) {
	t.Topology.Read(0)
	at, fault = t.Topology.Override(text)
	t.divideDomains()
	t.divideNodes()
	return at, fault
}

func (t *Tier) divideDomains() {
	n := t.Topology.Domains()
	if n < 2 {
		return
	}
	d, pages := &t.domains, &t.Central.Pages
	d.stride = (shardHeader + uintptr(shardSizes().total())*8 + 4095) &^ 4095 // of address space: touched as used
	if !pages.NewMappedTable(&d.tags, uintptr(sharedSizes().total())) ||
		!t.Legacy && !pages.NewEmptyTable(&d.table, uintptr(min(n, MaxDomains))*d.stride) || !t.Central.Divide(uint32(n), !t.Legacy) {
		return
	}
	for cpu := int32(0); cpu < int32(t.Topology.Limit()); cpu++ {
		if t.Topology.Known(cpu) {
			d.kernel[t.domainOf(cpu)-1] = uint16(t.Topology.Node(cpu))
		}
	}
	atomic.StoreUintptr(&t.shared.tags, d.tags.Base())
	atomic.StoreUint32(&d.n, uint32(min(n, MaxDomains)))
	atomic.StoreUint32(&t.apart, 1)
}

// Domains is how many domains are told apart: 1 where there is nothing to shard.
func (t *Tier) Domains() int { return int(max(atomic.LoadUint32(&t.domains.n), 1)) }

// domainOf is the domain of a CPU, from 1.
func (t *Tier) domainOf(cpu int32) uint32 { return uint32(t.Topology.Domain(cpu))%MaxDomains + 1 }

// mapped is the shard of the domain with index d, or nil if it was never opened.
func (t *Tier) mapped(d uint32) *shard {
	if atomic.LoadUint32(&t.domains.state[d%MaxDomains]) < closed {
		return nil
	}
	return t.shard(d)
}

func (t *Tier) shard(d uint32) *shard {
	return (*shard)(sys.At(t.domains.table.Base() + uintptr(d)*t.domains.stride))
}

// shardFor is the shard that serves domain d, nil if the shared caches do.
func (t *Tier) shardFor(d uint32) *shard {
	if t.Legacy || d == atomic.LoadUint32(&t.domains.lone) {
		return nil
	}
	s := atomic.LoadUint32(&t.domains.state[(d-1)%MaxDomains])
	if s == open {
		return t.shard(d - 1)
	}
	if s == refused {
		return nil
	}
	return t.enter(d)
}

// openShard is the shard of domain d if it is open: what serves the domain, without a note that it is in use.
func (t *Tier) openShard(d uint32) *shard {
	if t.Legacy || atomic.LoadUint32(&t.domains.state[(d-1)%MaxDomains]) != open {
		return nil
	}
	return t.shard(d - 1)
}

// enter takes note that domain d is in use. Who finds another thread at it uses the shared caches.
func (t *Tier) enter(d uint32) *shard {
	k := &t.domains
	if !k.mu.TryLock() {
		return nil
	}
	var s *shard
	if k.lone == none && k.opened == 0 {
		atomic.StoreUint32(&k.lone, d)
	} else if k.lone != d && t.open(d) {
		s = t.shard(d - 1)
		if k.lone != none && t.open(k.lone) {
			// What that domain has freed so far lies in the shared caches, marked.
			atomic.StoreUint32(&k.lone, none)
		}
	}
	k.mu.Unlock()
	return s
}

// open gives domain d its shard. Preconditions: the lock is held.
func (t *Tier) open(d uint32) bool {
	k := &t.domains
	state := &k.state[(d-1)%MaxDomains]
	if *state == open {
		return true
	}
	s := t.shard(d - 1)
	if *state == unmapped {
		if !t.Central.Pages.MapMetadata(uintptr(unsafe.Pointer(s)), k.stride) {
			atomic.StoreUint32(state, refused)
		} else {
			s.init(shardSizes(), uintptr(unsafe.Pointer(s))+shardHeader)
			atomic.AddUint64(&t.budget.shards, shardBytes)
			t.budget.raise(t.Central.Pages.Grown())
			s.domain = d
		}
	}
	if *state == refused {
		return false
	}
	s.idle = 0
	atomic.StoreUint32(state, open)
	atomic.AddUint32(&k.opened, 1)
	atomic.StoreUint32(&t.budget.divided, 1)
	return true
}

// close gives up the shard of domain d; what it holds goes at the next visit. The domain that remains alone needs
// none either.
func (t *Tier) close(d uint32) {
	k := &t.domains
	k.mu.Lock()
	atomic.StoreUint32(&k.state[(d-1)%MaxDomains], closed)
	atomic.AddUint32(&k.opened, ^uint32(0))
	for i := uint32(0); i < MaxDomains && k.opened == 1; i++ {
		if k.state[i] == open {
			atomic.StoreUint32(&k.lone, i+1)
			atomic.StoreUint32(&k.state[i], closed)
			atomic.StoreUint32(&k.opened, 0)
			atomic.StoreUint32(&t.budget.divided, 0)
		}
	}
	k.mu.Unlock()
}

// Plunder gives back the objects that no cache needed since the last call, with the capacity for them, and empties the
// shards of domains that the process has left. To be called about once a second, by one thread at a time.
func (t *Tier) Plunder() {
	for i := range t.sharedGroups() {
		t.plunder(t.sharedOf(i))
	}
	for d := uint32(0); d < atomic.LoadUint32(&t.domains.n); d++ {
		s := t.mapped(d)
		if s == nil {
			continue
		}
		if atomic.LoadUint32(&t.domains.state[d%MaxDomains]) == closed {
			t.drain(&s.group)
			t.plunder(&s.group)
			continue
		}
		if t.plunder(&s.group) {
			s.idle = 0
		} else if s.idle++; s.idle >= idleVisits {
			t.close(d + 1)
		}
	}
}

// plunder is Plunder of one group, and reports whether anybody came since the last.
func (t *Tier) plunder(g *group) (busy bool) {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		n, came := g.relax(c, &t.budget)
		busy = busy || came
		t.giveBack(g, c, n)
	}
	return busy
}

// DomainStats adds up the counters of one domain's shard, over all classes.
type DomainStats struct {
	Open  bool
	CPUs  uint32
	Bytes units.Bytes // cached
	Stats
}

// Domain reads the counters of the domain with index d.
func (t *Tier) Domain(d int, out *DomainStats) {
	*out = DomainStats{}
	i := uint32(d) % MaxDomains
	for cpu := int32(0); cpu < int32(t.Topology.Limit()); cpu++ {
		if t.Topology.Online(cpu) && t.domainOf(cpu) == i+1 {
			out.CPUs++
		}
	}
	out.Open = atomic.LoadUint32(&t.domains.state[i]) == open
	if s := t.mapped(i); s != nil {
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			used := out.Used
			s.add(c, &out.Stats)
			out.Bytes += units.Bytes(out.Used-used) * sizeclass.Size(c)
		}
	}
}
