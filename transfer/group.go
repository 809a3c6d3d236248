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
	missed   uint32 // low half of misses at the last Rebalance
	misses   uint64 // objects that had to come from or go to the tier below
	hits     uint64 // objects moved here
	reused   uint64 // objects handed out of which is known who freed them
	crossed  uint64 // and that another domain freed
}

// group is the caches of all classes in one place: the shared ones, or those of a domain.
type group struct {
	caches [sizeclass.NumClasses]cache
	slots  uintptr // address of the first slot
	tags   uintptr // address of a byte for each slot, the domain that freed what it holds; 0: there are none
	domain uint32  // whose CPUs alone are served; none for the shared caches
	spare  uint64  // bytes of capacity that no class has; rebalance's own
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

// init makes empty arrays. slots is the address of z.total() of them.
func (g *group) init(z sizes, slots uintptr) {
	n := uint32(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		most := z.maximum(c)
		g.caches[c] = cache{first: n, max: most, capacity: min(z.initial*uint32(sizeclass.Of(c).Batch), most)}
		n += (most + lineSlots - 1) &^ (lineSlots - 1)
	}
	g.slots = slots
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
	}
	switch {
	case g.domain != none:
		k.reused += uint64(got)
	case g.tagged():
		for _, from := range g.tagsAt(k.first+k.used, got) {
			if from != none {
				k.reused++
				if uint32(from) != to {
					k.crossed++
				}
			}
		}
	}
	k.mu.Unlock()
	return int(got)
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

// unneeded is how many objects of class c nobody took since the last call. moved adds up the objects that came
// and went so far.
func (g *group) unneeded(c units.ClassID, moved *uint64) uint32 {
	k := &g.caches[c]
	k.mu.Lock()
	n := k.low
	k.low = k.used
	*moved += k.hits + k.misses
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
		n := uint32(k.misses) - k.missed
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
	n := uint32(min(uint64(k.max-k.capacity), uint64(info.Batch), g.spare/uint64(info.Size)))
	k.capacity += n
	if n > 0 {
		k.missed = uint32(k.misses) // it had its turn
	}
	k.mu.Unlock()
	g.spare -= uint64(n) * uint64(info.Size)
	return n
}

// settle begins a new interval of misses.
func (g *group) settle() {
	for c := range g.caches {
		k := &g.caches[c]
		k.mu.Lock()
		k.missed = uint32(k.misses)
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
	out.Reused += k.reused
	out.Crossed += k.crossed
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
