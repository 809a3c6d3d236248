package transfer

import (
	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// Sizes of a class's array, in batches: it starts at 16, may grow to 64, and to no more than 1 MiB of
// objects, so that a few large classes cannot strand tens of MiB (FACTS.md section 7.1 has the same order
// of magnitude; `bench` re-measures).
const (
	initialBatches = 16
	maxBatches     = 64
	maxBytes       = 1 << 20
)

// cache is one class's array; its slots lie in the tier's table. One cache line.
type cache struct {
	mu       sys.Mutex
	used     uint32 // objects
	capacity uint32 // objects
	max      uint32 // objects
	low      uint32 // least value of used since the last Plunder
	first    uint32 // index of the first slot in the table
	misses   uint64 // objects that had to come from or go to the central free list
	missed   uint64 // misses at the last Rebalance
	hits     uint64 // objects moved here
	_        [8]byte
}

// Tier is the transfer caches of all classes and the central free list below them.
type Tier struct {
	caches [sizeclass.NumClasses]cache
	slots  vm.Table
	spare  uint64 // bytes of capacity that no class has; Rebalance's own

	Central centralfreelist.Tier
}

// Init sizes the arrays. Preconditions: the page heap below is initialised.
func (t *Tier) Init() bool {
	n := uint32(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		k := sizeclass.Of(c)
		batch := uint32(k.Batch)
		most := min(maxBatches*batch, max(batch, maxBytes/(k.Size*batch)*batch))
		t.caches[c] = cache{first: n, max: most, capacity: min(initialBatches*batch, most)}
		n += most
	}
	return t.Central.Pages.NewMappedTable(&t.slots, uintptr(n)*8)
}

func (t *Tier) slot(i uint32) *uintptr { return (*uintptr)(sys.At(t.slots.Base() + uintptr(i)*8)) }

// Insert takes objects of class c in. It returns a pointer that turned out to be no object of class c, or 0.
// Preconditions: len(objects) <= centralfreelist.MaxBatch.
func (t *Tier) Insert(c units.ClassID, objects []uintptr) (bad uintptr) {
	k := &t.caches[c]
	k.mu.Lock()
	n := min(uint32(len(objects)), k.capacity-k.used)
	for i := uint32(0); i < n; i++ {
		*t.slot(k.first + k.used + i) = objects[i]
	}
	k.used += n
	k.hits += uint64(n)
	k.misses += uint64(len(objects)) - uint64(n)
	k.mu.Unlock()
	if rest := objects[n:]; len(rest) > 0 {
		return t.Central.Insert(c, rest)
	}
	return 0
}

// Remove takes up to n objects of class c, writes them to out and returns how many; 0 when memory is short.
// Preconditions: n <= len(out).
func (t *Tier) Remove(c units.ClassID, out []uintptr, n int) int {
	k := &t.caches[c]
	k.mu.Lock()
	got := min(uint32(n), k.used)
	k.used -= got
	for i := uint32(0); i < got; i++ {
		out[i] = *t.slot(k.first + k.used + i)
	}
	k.low = min(k.low, k.used)
	k.hits += uint64(got)
	if got == 0 {
		k.misses += uint64(n)
	}
	k.mu.Unlock()
	if got > 0 {
		return int(got)
	}
	return t.Central.Remove(c, out, n)
}

// Plunder gives back the objects of each class that were not needed since the last call.
func (t *Tier) Plunder() {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		k := &t.caches[c]
		k.mu.Lock()
		n := k.low
		k.low = k.used
		k.mu.Unlock()
		t.giveBack(c, n)
	}
}

// Drain gives back everything.
func (t *Tier) Drain() {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		t.giveBack(c, ^uint32(0))
	}
}

// giveBack moves up to n objects of class c to their spans, a batch at a time.
func (t *Tier) giveBack(c units.ClassID, n uint32) {
	var buf [centralfreelist.MaxBatch]uintptr
	k := &t.caches[c]
	for n > 0 {
		k.mu.Lock()
		got := min(n, k.used, centralfreelist.MaxBatch)
		k.used -= got
		for i := uint32(0); i < got; i++ {
			buf[i] = *t.slot(k.first + k.used + i)
		}
		k.low = min(k.low, k.used)
		k.mu.Unlock()
		if got == 0 {
			return
		}
		t.Central.Insert(c, buf[:got])
		n -= got
	}
}

// Rebalance moves capacity from classes that missed least since the last call to those that missed most, a
// batch at a time, with at most a tenth as many moves as there are classes. One thread at a time may call it.
func (t *Tier) Rebalance() {
	for moves := 0; moves < sizeclass.NumClasses/10; moves++ {
		grow, shrink := t.extremes()
		if grow == 0 {
			break
		}
		// Bytes, not batches, are what is conserved: a batch of large objects pays for many of small ones.
		size, batch := uint64(sizeclass.Of(grow).Size), uint64(sizeclass.Of(grow).Batch)
		if t.spare < size*batch && shrink != 0 {
			t.spare += t.shrink(shrink)
		}
		k := &t.caches[grow]
		k.mu.Lock()
		n := min(uint64(k.max-k.capacity), batch, t.spare/size)
		k.capacity += uint32(n)
		if n > 0 {
			k.missed = k.misses // it had its turn
		}
		k.mu.Unlock()
		t.spare -= n * size
		if n == 0 && shrink == 0 {
			break
		}
	}
	for c := range t.caches {
		k := &t.caches[c]
		k.mu.Lock()
		k.missed = k.misses
		k.mu.Unlock()
	}
}

// extremes finds the class with most misses that can grow and the one with least that can shrink, of several
// the largest, which frees most bytes; 0 for none.
func (t *Tier) extremes() (grow, shrink units.ClassID) {
	most, least := uint64(0), ^uint64(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		k := &t.caches[c]
		k.mu.Lock()
		n := k.misses - k.missed
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

// shrink lowers the capacity of class c by a batch, to no less than one, and returns the bytes that sets free.
// What the array held beyond that leaves it under the same lock: used never exceeds capacity.
func (t *Tier) shrink(c units.ClassID) uint64 {
	var buf [centralfreelist.MaxBatch]uintptr
	k, info := &t.caches[c], sizeclass.Of(c)
	k.mu.Lock()
	n := min(uint32(info.Batch), k.capacity-uint32(info.Batch))
	k.capacity -= n
	over := min(k.used-min(k.used, k.capacity), centralfreelist.MaxBatch) // at most n
	k.used -= over
	for i := uint32(0); i < over; i++ {
		buf[i] = *t.slot(k.first + k.used + i)
	}
	k.low = min(k.low, k.used)
	k.mu.Unlock()
	if over > 0 {
		t.Central.Insert(c, buf[:over])
	}
	return uint64(n) * uint64(info.Size)
}

// Stats of one class, in objects.
type Stats struct {
	Used, Capacity, Max, Contended uint32
	Hits, Misses                   uint64
}

// Stats reads the counters of class c at one moment.
func (t *Tier) Stats(c units.ClassID, out *Stats) {
	k := &t.caches[c]
	k.mu.Lock()
	*out = Stats{Used: k.used, Capacity: k.capacity, Max: k.max, Contended: k.mu.Contended(), Hits: k.hits, Misses: k.misses}
	k.mu.Unlock()
}

// Holds reports whether object p of class c lies in the cache: a check for pointers under suspicion.
func (t *Tier) Holds(c units.ClassID, p uintptr) bool {
	k := &t.caches[c]
	k.mu.Lock()
	found := false
	for i := uint32(0); i < k.used && !found; i++ {
		found = *t.slot(k.first + i) == p
	}
	k.mu.Unlock()
	return found
}
