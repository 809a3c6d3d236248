package transfer

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// cache is one class's array in one group; its slots lie in the group's table. One cache line.
type cache struct {
	mu       sys.Mutex
	used     uint32 // objects
	capacity uint32 // objects
	max      uint32 // objects
	low      uint32 // least value of used since the last Plunder
	first    uint32 // index of the first slot
	wanted   uint32 // objects that more capacity would have kept here, since the last Rebalance
	misses   uint64 // objects that had to come from or go to the tier below
	hits     uint64 // objects moved here
	dry      uint32 // of a shard: somebody has found it empty since it was last found full
	_        [12]byte
}

// count is what is counted besides where there are several domains, under the cache's lock. Apart from it, because a
// process with one domain should not touch the memory. One cache line.
type count struct {
	reused  uint64 // objects handed out of which is known who freed them
	crossed uint64 // and that another domain freed
	moved   uint64 // of a shard: hits and misses at the last visit
	_       [40]byte
}

// group is the caches of all classes in one place: the shared ones, or those of a domain.
type group struct {
	caches [sizeclass.NumClasses]cache
	counts [sizeclass.NumClasses]count
	slots  uintptr // address of the first slot
	tags   uintptr // address of a byte for each slot, the domain that freed what it holds; 0: there are none
	domain uint32  // whose CPUs alone are served; none for the shared caches
	node   uint32  // number of the page heap that all objects are of; shards may hold others' too
	spare  uint64  // bytes of capacity that no class has; atomic
}

// sizes of a group's arrays, in batches, and in bytes of objects: the least of it counts, but one batch.
type sizes struct{ initial, most, bytes uint32 }

// lineSlots is how many slots fill a cache line: classes do not share one.
const lineSlots = 8

// maximum is how many objects of class c an array may hold.
func (z sizes) maximum(c units.ClassID) uint32 {
	k := sizeclass.Of(c)
	batch := uint32(k.Batch)
	return min(z.most*batch, max(batch, z.bytes/(k.Size*batch)*batch))
}

// total is how many slots a group of such sizes has.
func (z sizes) total() (n uint32) {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		n += (z.maximum(c) + lineSlots - 1) &^ (lineSlots - 1)
	}
	return n
}

// init makes empty arrays. slots is the address of z.total() of them; spare are bytes of capacity no class has yet.
func (g *group) init(z sizes, slots uintptr, spare uint64) {
	n := uint32(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		most := z.maximum(c)
		g.caches[c] = cache{first: n, max: most, capacity: min(z.initial*uint32(sizeclass.Of(c).Batch), most)}
		n += (most + lineSlots - 1) &^ (lineSlots - 1)
	}
	g.slots = slots
	g.spare = spare
}

// at is n slots from index i on.
func (g *group) at(i, n uint32) []uintptr {
	return unsafe.Slice((*uintptr)(sys.At(g.slots+uintptr(i)*8)), uintptr(n))
}

// tagsAt is the tags of n slots from index i on. Preconditions: there are tags.
func (g *group) tagsAt(i, n uint32) []uint8 {
	return unsafe.Slice((*uint8)(sys.At(atomic.LoadUintptr(&g.tags)+uintptr(i))), uintptr(n))
}

func (g *group) tagged() bool { return atomic.LoadUintptr(&g.tags) != 0 }

// put takes in as many of the objects, freed by domain from, as there is room for, and returns how many.
func (g *group) put(c units.ClassID, objects []uintptr, from uint32) uint32 {
	k := &g.caches[c]
	k.mu.Lock()
	n := min(uint32(len(objects)), k.capacity-k.used)
	if over := uint32(len(objects)) - n; over > 0 {
		if g.domain == none {
			k.wanted += over
		} else if k.dry != 0 {
			k.dry = 0
			n += min(g.stretch(k, c, over), over)
		}
	}
	copy(g.at(k.first+k.used, n), objects)
	if g.tagged() {
		tags := g.tagsAt(k.first+k.used, n)
		for i := range tags {
			tags[i] = uint8(from)
		}
	}
	k.used += n
	k.hits += uint64(n)
	k.misses += uint64(len(objects)) - uint64(n)
	k.mu.Unlock()
	return n
}

// take hands up to n objects to a caller in domain to, and returns how many.
func (g *group) take(c units.ClassID, out []uintptr, n int, to uint32) int {
	k := &g.caches[c]
	k.mu.Lock()
	got := min(uint32(n), k.used)
	k.used -= got
	copy(out, g.at(k.first+k.used, got))
	k.low = min(k.low, k.used)
	k.hits += uint64(got)
	if got == 0 {
		k.misses += uint64(n)
		k.dry = 1
		if g.domain == none {
			k.wanted += uint32(n)
		}
	}
	switch {
	case g.domain != none:
		g.counts[c].reused += uint64(got)
	case g.tagged():
		for _, from := range g.tagsAt(k.first+k.used, got) {
			if from != none {
				g.counts[c].reused++
				if uint32(from) != to {
					g.counts[c].crossed++
				}
			}
		}
	}
	k.mu.Unlock()
	return int(got)
}

// stretch doubles the capacity of a shard's class, or raises it by over if that is more, as far as bytes are left,
// and returns by how much. That an array is found empty and full in turn proves that a larger one would have
// kept the objects; a stream that only comes, or only goes, gets nothing, and so strands nothing. Preconditions:
// the class's lock is held.
func (g *group) stretch(k *cache, c units.ClassID, over uint32) uint32 {
	size := uint64(sizeclass.Size(c))
	n := uint32(min(uint64(max(k.capacity, over)), uint64(k.max-k.capacity), atomic.LoadUint64(&g.spare)/size))
	if n == 0 || !g.pay(uint64(n)*size) {
		k.wanted += over
		return 0
	}
	k.capacity += n
	return n
}

// relax takes capacity from a shard's class that it did not need since the last visit: as much as lay there unused, and
// all of it when nobody came. It returns how many objects are to leave.
func (g *group) relax(c units.ClassID) (n uint32, busy bool) {
	k := &g.caches[c]
	k.mu.Lock()
	moved := &g.counts[c].moved
	n, busy = k.low, k.hits+k.misses != *moved
	*moved = k.hits + k.misses
	cut := n
	if !busy {
		n, cut, k.dry = k.used, k.capacity, 0
	}
	// The objects leave after this; until then used may exceed nothing: capacity stays above it.
	cut = min(cut, k.capacity-k.used)
	k.capacity -= cut
	k.low = k.used
	k.mu.Unlock()
	atomic.AddUint64(&g.spare, uint64(cut)*uint64(sizeclass.Size(c)))
	return n, busy
}

// cut takes up to n objects, all freed by one domain, from the top of an array to give them back, and returns how
// many and which domain.
func (g *group) cut(c units.ClassID, out []uintptr, n uint32) (got, from uint32) {
	k := &g.caches[c]
	k.mu.Lock()
	got, from = g.pop(k, out, min(n, k.used))
	k.mu.Unlock()
	return got, from
}

// pop is cut for holders of the lock. Preconditions: n <= used.
func (g *group) pop(k *cache, out []uintptr, n uint32) (got, from uint32) {
	got, from = min(n, uint32(len(out))), g.domain
	if got > 0 && g.tagged() {
		tags := g.tagsAt(k.first+k.used-got, got)
		last := tags[got-1]
		i := got - 1
		for i > 0 && tags[i-1] == last {
			i--
		}
		got, from = got-i, uint32(last)
	}
	k.used -= got
	copy(out, g.at(k.first+k.used, got))
	k.low = min(k.low, k.used)
	return got, from
}

// unneeded is how many objects of class c nobody took since the last call.
func (g *group) unneeded(c units.ClassID) uint32 {
	k := &g.caches[c]
	k.mu.Lock()
	n := k.low
	k.low = k.used
	k.mu.Unlock()
	return n
}

// extremes finds the class with most misses that can grow and the one with least that can shrink, of several
// the largest, which frees most bytes; 0 for none.
func (g *group) extremes() (grow, shrink units.ClassID) {
	most, least := uint32(0), ^uint32(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		k := &g.caches[c]
		k.mu.Lock()
		n := k.wanted
		if n > most && k.capacity < k.max {
			most, grow = n, c
		}
		if batch := uint32(sizeclass.Of(c).Batch); n <= least && k.capacity > batch {
			least, shrink = n, c
		}
		k.mu.Unlock()
	}
	if least >= most {
		shrink = 0
	}
	return grow, shrink
}

// grow raises the capacity of class c by up to a batch, as the spare bytes allow, and returns by how much.
func (g *group) grow(c units.ClassID) uint32 {
	k, info := &g.caches[c], sizeclass.Of(c)
	k.mu.Lock()
	n := uint32(min(uint64(k.max-k.capacity), uint64(info.Batch), atomic.LoadUint64(&g.spare)/uint64(info.Size)))
	if n > 0 && !g.pay(uint64(n)*uint64(info.Size)) {
		n = 0
	}
	k.capacity += n
	if n > 0 {
		k.wanted = 0 // it had its turn
	}
	k.mu.Unlock()
	return n
}

// pay takes bytes of capacity; false if there are not so many.
func (g *group) pay(bytes uint64) bool {
	spare := atomic.LoadUint64(&g.spare)
	return spare >= bytes && atomic.CompareAndSwapUint64(&g.spare, spare, spare-bytes)
}

// settle begins a new interval of misses.
func (g *group) settle() {
	for c := range g.caches {
		k := &g.caches[c]
		k.mu.Lock()
		k.wanted = 0
		k.mu.Unlock()
	}
}

// add adds the counters of class c to out.
func (g *group) add(c units.ClassID, out *Stats) {
	k := &g.caches[c]
	k.mu.Lock()
	out.Used += k.used
	out.Capacity += k.capacity
	out.Max += k.max
	out.Contended += k.mu.Contended()
	out.Hits += k.hits
	out.Misses += k.misses
	out.Reused += g.counts[c].reused
	out.Crossed += g.counts[c].crossed
	k.mu.Unlock()
}

func (g *group) holds(c units.ClassID, p uintptr) bool {
	k := &g.caches[c]
	k.mu.Lock()
	found := false
	for _, q := range g.at(k.first, k.used) {
		found = found || p == q
	}
	k.mu.Unlock()
	return found
}
