package transfer

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
	"github.com/vcmalloc/vcmalloc/topology"
)

// sharedSizes: an array starts at 32 KiB of objects in whole batches, at most 16, and may grow to 64 batches or 1 MiB,
// so that a few large classes cannot strand tens of MiB (FACTS.md section 7.1 has the same order of magnitude for what
// it may grow to; it starts at 16 batches, with which 12 MiB of an image server's 24 lay here).
func sharedSizes() sizes {
	return sizes{batches: 16, bytes: 32 << 10, mostBatches: 64, mostBytes: 1 << 20}
}

// Tier is the transfer caches of all classes and the central free list below them.
type Tier struct {
	shared  group
	budget  budget
	slots   vm.Table
	domains domains
	apart   uint32 // where a caller runs matters: there are several domains, or several nodes; atomic

	// CPU is the address of a C function that returns the number of the CPU its caller runs on; 0: the processor is
	// asked. It is the C door's: valgrind and some emulators do not know the instruction.
	CPU uintptr
	// Legacy leaves the shared caches alone: no domain gets its own.
	Legacy bool
	// OneNode leaves NUMA nodes out of account.
	OneNode bool

	Topology topology.Topology
	nodes    nodes
	Central  centralfreelist.Tier
}

// Init makes the shared caches. Preconditions: the page heap below is initialised.
func (t *Tier) Init() bool {
	z := sharedSizes()
	if !t.Central.Pages.NewMappedTable(&t.slots, uintptr(z.total())*8) {
		return false
	}
	t.shared.init(z, t.slots.Base())
	t.budget.raise(t.Central.Pages.Grown())
	return true
}

// Here is the last-level cache domain of the CPU that runs the caller, from 1; 0 on a machine that has but one.
func (t *Tier) Here() uint32 {
	if atomic.LoadUint32(&t.domains.n) == 0 {
		return none
	}
	return t.domainOf(t.cpu())
}

func (t *Tier) cpu() int32 {
	if t.CPU != 0 {
		return int32(sys.CallC(t.CPU, 0, 0, 0, 0))
	}
	return sys.CurrentCPU()
}

// Insert takes objects of class c in. It returns a pointer that turned out to be no object of class c, or 0.
// Preconditions: len(objects) <= centralfreelist.MaxBatch.
func (t *Tier) Insert(c units.ClassID, objects []uintptr) (bad uintptr) {
	at := t.place()
	var s *shard
	if at.domain != none {
		s = t.shardFor(at.domain)
	}
	return t.insert(at, s, c, objects)
}

// InsertFrom is Insert of objects that were freed in domain d, wherever the caller runs: a background thread that gives
// back what a vCPU held. d is as Here tells; 0: it is the caller's. Domains that the process has left stay left.
func (t *Tier) InsertFrom(d uint32, c units.ClassID, objects []uintptr) (bad uintptr) {
	if d == none {
		return t.Insert(c, objects)
	}
	at := place{domain: d}
	if atomic.LoadUint32(&t.nodes.n) != 0 {
		at.node = t.heapOf(uint32(t.domains.kernel[(d-1)%MaxDomains]))
	}
	return t.insert(at, t.openShard(d), c, objects)
}

// insert is Insert at a place, whose domain has shard s, if not nil.
func (t *Tier) insert(at place, s *shard, c units.ClassID, objects []uintptr) (bad uintptr) {
	if at.node != 0 {
		return t.insertApart(at, s, c, objects)
	}
	t.Central.NoteFreed(0, c, at.domain, len(objects))
	if s != nil {
		objects = objects[s.put(c, objects, at.domain, &t.budget):]
		if len(objects) == 0 {
			return 0
		}
	}
	return t.insertOf(0, c, objects, at.domain)
}

// insertShared passes objects that domain from freed to the shared caches of their nodes.
func (t *Tier) insertShared(c units.ClassID, objects []uintptr, from uint32) (bad uintptr) {
	if t.sharedGroups() < 2 {
		return t.insertOf(0, c, objects, from)
	}
	for len(objects) > 0 {
		node, n := t.Central.Split(objects)
		if b := t.insertOf(node, c, objects[:n], from); bad == 0 {
			bad = b
		}
		objects = objects[n:]
	}
	return bad
}

// insertOf is insertShared for objects of one node.
func (t *Tier) insertOf(node uint32, c units.ClassID, objects []uintptr, from uint32) (bad uintptr) {
	if rest := objects[t.sharedOf(node).put(c, objects, from, &t.budget):]; len(rest) > 0 {
		t.budget.raise(t.Central.Pages.Grown())
		return t.Central.Insert(node, c, rest, from)
	}
	return 0
}

// Remove takes up to n objects of class c, writes them to out and returns how many; 0 when memory is short.
// Preconditions: n <= len(out).
func (t *Tier) Remove(c units.ClassID, out []uintptr, n int) int {
	at := t.place()
	if at.node != 0 {
		return t.removeNear(at, c, out, n)
	}
	if at.domain != none {
		if got := t.removeOwn(0, c, out, n, at.domain); got > 0 {
			return got
		}
	}
	return t.removeAny(0, c, out, n, at.domain)
}

// removeAny takes what any domain has freed, and new spans' objects, of a node.
func (t *Tier) removeAny(node uint32, c units.ClassID, out []uintptr, n int, d uint32) int {
	if got, known := t.sharedOf(node).take(c, out, n, d); got > 0 {
		t.Central.NoteReused(node, c, d, known)
		return got
	}
	return t.Central.Remove(node, c, out, n, d)
}

// removeOwn takes what domain d itself has freed, and is of a node: from its shard, what overflowed that into the node's
// shared caches, and what came back to spans. What other domains freed may be on top of all that; to take it first
// makes those take what this one freed.
func (t *Tier) removeOwn(node uint32, c units.ClassID, out []uintptr, n int, d uint32) int {
	s := t.shardFor(d)
	if s == nil {
		return 0
	}
	got, _ := s.take(c, out, n, d)
	if got == 0 {
		got = t.sharedOf(node).takeOwn(c, out, n, d)
	}
	if got > 0 {
		t.Central.NoteReused(node, c, d, got)
		return got
	}
	if t.Central.HasOwn(node, c, d) {
		return t.Central.RemoveOwn(node, c, out, n, d)
	}
	return 0
}

// Drain gives back everything.
func (t *Tier) Drain() {
	for d := uint32(0); d < MaxDomains; d++ {
		if s := t.mapped(d); s != nil {
			t.drain(&s.group)
		}
	}
	for i := range t.sharedGroups() {
		t.drain(t.sharedOf(i))
	}
}

func (t *Tier) drain(g *group) {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		t.giveBack(g, c, ^uint32(0))
	}
}

// giveBack passes up to n objects of class c on, a batch at a time.
func (t *Tier) giveBack(g *group, c units.ClassID, n uint32) {
	var buf [centralfreelist.MaxBatch]uintptr
	for n > 0 {
		got, from := g.cut(c, buf[:], n)
		if got == 0 {
			return
		}
		t.pass(g, c, buf[:got], from)
		n -= got
	}
}

// pass hands objects that domain from freed to what stands behind group g.
func (t *Tier) pass(g *group, c units.ClassID, objects []uintptr, from uint32) {
	if g.domain == none {
		t.Central.Insert(g.node, c, objects, from)
	} else {
		t.insertShared(c, objects, from)
	}
}

// Rebalance moves capacity from classes that wanted least of it since the last call to those that wanted most, a
// batch at a time, in the shared caches and in each shard. One thread at a time may call it.
func (t *Tier) Rebalance() {
	for i := range t.sharedGroups() {
		t.rebalance(t.sharedOf(i))
	}
	for d := uint32(0); d < MaxDomains; d++ {
		if s := t.mapped(d); s != nil {
			t.rebalance(&s.group)
		}
	}
}

// rebalance makes at most a tenth as many moves as there are classes.
func (t *Tier) rebalance(g *group) {
	for moves := 0; moves < sizeclass.NumClasses/10; moves++ {
		grow, shrink := g.extremes()
		if grow == 0 {
			break
		}
		// Bytes, not batches, are what is conserved: a batch of large objects pays for many of small ones.
		info := sizeclass.Of(grow)
		if !t.budget.affords(uint64(info.Size)*uint64(info.Batch), g.domain == none) && shrink != 0 {
			t.budget.give(t.shrink(g, shrink))
		}
		if g.grow(grow, &t.budget) == 0 && shrink == 0 {
			break
		}
	}
	g.settle()
}

// shrink lowers the capacity of class c by a batch, to no less than its least, and returns the bytes that sets free.
// What the array held beyond that leaves it under the same lock: used never exceeds capacity.
func (t *Tier) shrink(g *group, c units.ClassID) uint64 {
	var buf [centralfreelist.MaxBatch]uintptr
	k, info := &g.caches[c], sizeclass.Of(c)
	k.mu.Lock()
	n := min(uint32(info.Batch), k.capacity-g.sizes.least(c))
	over := k.used - min(k.used, k.capacity-n)
	got, from := g.pop(c, buf[:], over)
	if got < over { // freed by several domains: the rest of them another time
		n -= over - got
	}
	k.capacity -= n
	k.mu.Unlock()
	if got > 0 {
		t.pass(g, c, buf[:got], from)
	}
	return uint64(n) * uint64(info.Size)
}

// Stats of one class, in objects.
type Stats struct {
	Used, Capacity, Max, Contended uint32
	Hits, Misses                   uint64
	Reused                         uint64 // handed to per-CPU caches, of which is known what domain freed them
	Crossed                        uint64 // of these, freed in another domain
}

// Stats adds up the counters of class c in the shared caches and all shards.
func (t *Tier) Stats(c units.ClassID, out *Stats) {
	*out = Stats{}
	for i := range t.sharedGroups() {
		t.sharedOf(i).add(c, out)
	}
	for d := uint32(0); d < MaxDomains; d++ {
		if s := t.mapped(d); s != nil {
			s.add(c, out)
		}
	}
}

// Holds reports whether object p of class c lies in some cache: a check for pointers under suspicion.
func (t *Tier) Holds(c units.ClassID, p uintptr) bool {
	found := false
	for i := range t.sharedGroups() {
		found = found || t.sharedOf(i).holds(c, p)
	}
	for d := uint32(0); d < MaxDomains && !found; d++ {
		if s := t.mapped(d); s != nil {
			found = s.holds(c, p)
		}
	}
	return found
}
