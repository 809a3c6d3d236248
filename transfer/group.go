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
	mu       sys.CacheLock
	used     uint32 // objects
	capacity uint32 // objects
	max      uint32 // objects
	low      uint32 // least value of used since the last Plunder
	first    uint32 // index of the first slot
	wanted   uint32 // objects that more capacity would have kept here, since the last Rebalance
	misses   uint64 // objects that had to come from or go to the tier below
	hits     uint64 // objects moved here
	dry      uint32 // somebody has found it empty since it was last found full
	moved    uint32 // hits and misses at the last Plunder, modulo 2^32
	reused   uint64 // where there are several domains: objects handed out of which is known who freed them
}

// count is what is counted besides in shared caches where there are several domains, under the cache's lock. Apart from
// it, because a process with one domain should not touch the memory, nor a shard. One cache line.
type count struct {
	crossed uint64 // objects handed out that another domain freed
	from    uint64 // bit i: domain i+1 may have freed some of those that lie here; read without the lock too
	_       [48]byte
}

// group is the caches of all classes in one place: the shared ones, or those of a domain.
type group struct {
	caches [sizeclass.NumClasses]cache
	slots  uintptr // address of the first slot
	tags   uintptr // address of a byte for each slot, the domain that freed what it holds; 0: there are none
	domain uint32  // whose CPUs alone are served; none for the shared caches
	node   uint32  // number of the page heap that all objects are of; shards may hold others' too
	sizes  sizes
	_      [20]byte
	counts [sizeclass.NumClasses]count // last, for in a shard it is never touched
}

// sizes of a group's arrays, in batches and in bytes of objects: the least of it counts. The greatest is no less than
// a batch. dense is how many slots of each class lie side by side, all classes in a row, before the arrays proper: of
// forty classes that hold a batch each, these fill five pages, and arrays of up to 32 KiB would take forty.
type sizes struct{ batches, bytes, mostBatches, mostBytes, dense uint32 }

// lineSlots is how many slots fill a cache line: classes do not share one.
const lineSlots = 8

// maximum is how many objects of class c an array may hold.
func (z sizes) maximum(c units.ClassID) uint32 {
	k := sizeclass.Of(c)
	batch := uint32(k.Batch)
	return min(z.mostBatches*batch, max(batch, z.mostBytes/(k.Size*batch)*batch))
}

// least is the capacity of class c that no other class can have: what an array begins with.
func (z sizes) least(c units.ClassID) uint32 {
	k := sizeclass.Of(c)
	batch := uint32(k.Batch)
	return min(z.batches, z.bytes/(k.Size*batch)) * batch
}

// total is how many slots a group of such sizes has.
func (z sizes) total() uint32 {
	n := z.dense * sizeclass.NumClasses
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		n += (z.maximum(c) + lineSlots - 1) &^ (lineSlots - 1)
	}
	return n
}

// init makes empty arrays. slots is the address of z.total() of them.
func (g *group) init(z sizes, slots uintptr) {
	n := z.dense * sizeclass.NumClasses
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		most := z.maximum(c)
		g.caches[c] = cache{first: n, max: most, capacity: z.least(c)}
		n += (most + lineSlots - 1) &^ (lineSlots - 1)
	}
	g.slots = slots
	g.sizes = z
}

// at is n slots from index i on.
func (g *group) at(i, n uint32) []uintptr {
	return unsafe.Slice((*uintptr)(sys.At(g.slots+uintptr(i)*8)), uintptr(n))
}

// piece is the slots of class c that follow index i of its array, up to n: fewer where the first are not beside the
// others.
func (g *group) piece(c units.ClassID, i, n uint32) []uintptr {
	if d := g.sizes.dense; i < d {
		return g.at(uint32(c)*d+i, min(n, d-i))
	}
	return g.at(g.caches[c].first+i, n)
}

// write stores objects in the array of class c from index i on, and read fetches them. Preconditions of both: the lock
// is held, and the array is that long.
func (g *group) write(c units.ClassID, i uint32, objects []uintptr) {
	for len(objects) > 0 {
		n := copy(g.piece(c, i, uint32(len(objects))), objects)
		objects = objects[n:]
		i += uint32(n)
	}
}

func (g *group) read(c units.ClassID, i uint32, out []uintptr) {
	for len(out) > 0 {
		n := copy(out, g.piece(c, i, uint32(len(out))))
		out = out[n:]
		i += uint32(n)
	}
}

// tagsAt is the tags of n slots from index i on. Preconditions: there are tags.
func (g *group) tagsAt(i, n uint32) []uint8 {
	return unsafe.Slice((*uint8)(sys.At(atomic.LoadUintptr(&g.tags)+uintptr(i))), uintptr(n))
}

func (g *group) tagged() bool { return atomic.LoadUintptr(&g.tags) != 0 }

// put takes in as many of the objects, freed by domain from, as there is room for, and returns how many. b pays for
// more room.
func (g *group) put(c units.ClassID, objects []uintptr, from uint32, b *budget) uint32 {
	k := &g.caches[c]
	k.mu.Lock()
	n := min(uint32(len(objects)), k.capacity-k.used)
	if over := uint32(len(objects)) - n; over > 0 && k.dry != 0 {
		k.dry = 0
		n += min(g.stretch(k, c, over, b), over)
	}
	g.write(c, k.used, objects[:n])
	if g.tagged() {
		tags := g.tagsAt(k.first+k.used, n)
		for i := range tags {
			tags[i] = uint8(from)
		}
		if n > 0 && from != none {
			atomic.StoreUint64(&g.counts[c].from, g.counts[c].from|domainBit(from))
		}
	}
	k.used += n
	k.hits += uint64(n)
	k.misses += uint64(len(objects)) - uint64(n)
	k.mu.Unlock()
	return n
}

// take hands up to n objects to a caller in domain to, and returns how many, and of how many it is known who freed them.
func (g *group) take(c units.ClassID, out []uintptr, n int, to uint32) (got, known int) {
	k := &g.caches[c]
	k.mu.Lock()
	got = min(n, int(k.used))
	k.used -= uint32(got)
	g.read(c, k.used, out[:got])
	k.low = min(k.low, k.used)
	k.hits += uint64(got)
	if got == 0 {
		k.misses += uint64(n)
		k.dry = 1
	}
	switch {
	case g.domain != none:
		known = got
	case g.tagged():
		for _, from := range g.tagsAt(k.first+k.used, uint32(got)) {
			if from != none {
				known++
				if uint32(from) != to {
					g.counts[c].crossed++
				}
			}
		}
	}
	k.reused += uint64(known)
	k.mu.Unlock()
	return got, known
}

// domainBit is a domain's in count.from.
func domainBit(d uint32) uint64 { return 1 << ((d - 1) % MaxDomains) }

// takeOwn is take of what domain d has freed, wherever that lies in the array. Preconditions: the group is tagged, and
// so not dense.
func (g *group) takeOwn(c units.ClassID, out []uintptr, n int, d uint32) int {
	k, q := &g.caches[c], &g.counts[c]
	if atomic.LoadUint64(&q.from)&domainBit(d) == 0 {
		return 0
	}
	k.mu.Lock()
	slots, tags := g.at(k.first, k.used), g.tagsAt(k.first, k.used)
	got, first := 0, len(slots)
	for i := len(slots) - 1; i >= 0 && got < n; i-- {
		if i&7 == 7 && !hasByte(sys.Load64(g.tags+uintptr(k.first)+uintptr(i-7)), uint8(d)) {
			i -= 7
			continue
		}
		if uint32(tags[i]) == d {
			out[got] = slots[i]
			got++
			first = i
		}
	}
	if got < n { // that was all of it
		atomic.StoreUint64(&q.from, q.from&^domainBit(d))
	}
	// The others close the gaps. Of this domain's, all from the first taken on have been.
	rest := first
	for i := first; i < len(slots); i++ {
		if uint32(tags[i]) != d {
			slots[rest], tags[rest] = slots[i], tags[i]
			rest++
		}
	}
	k.used = uint32(rest)
	k.low = min(k.low, k.used)
	k.hits += uint64(got)
	k.reused += uint64(got)
	k.mu.Unlock()
	return got
}

// hasByte reports whether one of eight bytes is b: then, and only then, subtracting 1 from each borrows from a byte
// that was 0 without its high bit.
func hasByte(eight uint64, b uint8) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	x := eight ^ ones*uint64(b)
	return (x-ones)&^x&highs != 0
}

// stretch doubles the capacity of a class, or raises it by over if that is more, as far as the budget allows, and
// returns by how much. That an array is found empty and full in turn proves that a larger one would have kept the
// objects; a stream that only comes, or only goes, gets nothing, and so strands nothing. Preconditions: the class's
// lock is held.
func (g *group) stretch(k *cache, c units.ClassID, over uint32, b *budget) uint32 {
	size := uint64(sizeclass.Size(c))
	n := min(max(k.capacity, over), k.max-k.capacity)
	n = uint32(b.take(uint64(n)*size, size, g.domain == none) / size)
	if n == 0 {
		k.wanted += over
	}
	k.capacity += n
	return n
}

// relax takes capacity from a class that it did not need since the last call: as much as lay there unused, and all but
// the least when nobody came. It returns how many objects are to leave.
func (g *group) relax(c units.ClassID, b *budget) (n uint32, busy bool) {
	k := &g.caches[c]
	k.mu.Lock()
	moved := uint32(k.hits + k.misses)
	n, busy = k.low, moved != k.moved
	k.moved = moved
	cut := n
	if !busy {
		n, cut, k.dry = k.used, k.capacity, 0
	}
	// The objects leave after this: until then capacity stays above used.
	cut = min(cut, k.capacity-max(k.used, g.sizes.least(c)))
	k.capacity -= cut
	k.low = k.used
	k.mu.Unlock()
	b.give(uint64(cut) * uint64(sizeclass.Size(c)))
	return n, busy
}

// cut takes up to n objects, all freed by one domain, from the top of an array to give them back, and returns how
// many and which domain.
func (g *group) cut(c units.ClassID, out []uintptr, n uint32) (got, from uint32) {
	k := &g.caches[c]
	k.mu.Lock()
	got, from = g.pop(c, out, min(n, k.used))
	k.mu.Unlock()
	return got, from
}

// pop is cut for holders of the lock. Preconditions: n <= used.
func (g *group) pop(c units.ClassID, out []uintptr, n uint32) (got, from uint32) {
	k := &g.caches[c]
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
	g.read(c, k.used, out[:got])
	k.low = min(k.low, k.used)
	return got, from
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
		if n <= least && k.capacity > g.sizes.least(c) {
			least, shrink = n, c
		}
		k.mu.Unlock()
	}
	if least >= most {
		shrink = 0
	}
	return grow, shrink
}

// grow raises the capacity of class c by up to a batch, as the budget allows, and returns by how much.
func (g *group) grow(c units.ClassID, b *budget) uint32 {
	k, info := &g.caches[c], sizeclass.Of(c)
	size := uint64(info.Size)
	k.mu.Lock()
	n := min(k.max-k.capacity, uint32(info.Batch))
	n = uint32(b.take(uint64(n)*size, size, g.domain == none) / size)
	k.capacity += n
	if n > 0 {
		k.wanted = 0 // it had its turn
	}
	k.mu.Unlock()
	return n
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
	out.Reused += k.reused
	if g.domain == none {
		out.Crossed += g.counts[c].crossed
	}
	k.mu.Unlock()
}

func (g *group) holds(c units.ClassID, p uintptr) bool {
	k := &g.caches[c]
	k.mu.Lock()
	found := false
	for i := uint32(0); i < k.used; {
		part := g.piece(c, i, k.used-i)
		for _, q := range part {
			found = found || p == q
		}
		i += uint32(len(part))
	}
	k.mu.Unlock()
	return found
}
