package transfer

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// newTier is a tier with a page heap of its own.
func newTier(t testing.TB) *Tier {
	t.Helper()
	k := new(Tier)
	require.True(t, k.Central.Pages.Init(pageheap.Options{Seed: rand.Uint64()}), "no window")
	t.Cleanup(k.Central.Pages.Unmap)
	require.True(t, k.Init())
	return k
}

// fetch takes n objects of class c from the central free list, past the cache.
func fetch(t testing.TB, k *Tier, c units.ClassID, n int) (out []uintptr) {
	for len(out) < n {
		var buf [centralfreelist.MaxBatch]uintptr
		got := k.Central.Remove(0, c, buf[:], min(n-len(out), len(buf)), 0)
		require.Positive(t, got)
		out = append(out, buf[:got]...)
	}
	return out
}

// insert passes objects on in batches.
func insert(t testing.TB, k *Tier, c units.ClassID, objects []uintptr) {
	for len(objects) > 0 {
		n := min(len(objects), centralfreelist.MaxBatch)
		require.Zero(t, k.Insert(c, objects[:n]))
		objects = objects[n:]
	}
}

func stats(k *Tier, c units.ClassID) (st Stats) {
	k.Stats(c, &st)
	return st
}

// outstanding is how many objects of class c are not in their spans.
func outstanding(k *Tier, c units.ClassID) uint64 {
	var st centralfreelist.Stats
	k.Central.Stats(c, &st)
	return st.Capacity - st.Free
}

// check holds the invariants of doc.go; held is how many objects of each class the test has.
func check(t testing.TB, k *Tier, held *[sizeclass.NumClasses]int) {
	t.Helper()
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		st := stats(k, c)
		all := []*group{&k.shared}
		for d := range uint32(MaxDomains) {
			if s := k.mapped(d); s != nil {
				all = append(all, &s.group)
			}
		}
		for _, g := range all {
			q := &g.caches[c]
			require.LessOrEqual(t, q.used, q.capacity, "class %d", c)
			require.LessOrEqual(t, q.capacity, q.max, "class %d", c)
			require.LessOrEqual(t, q.low, q.used, "class %d", c)
		}
		require.EqualValues(t, outstanding(k, c), uint64(held[c])+uint64(st.Used), "class %d", c)
	}
}

// balanced holds the budget against the capacities that classes have beyond their least.
func balanced(t testing.TB, k *Tier) {
	t.Helper()
	given := uint64(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		n := stats(k, c).Capacity - k.shared.sizes.least(c)
		given += uint64(n) * uint64(sizeclass.Size(c))
	}
	require.Equal(t, k.budget.total, given+k.budget.spare)
	require.LessOrEqual(t, k.budget.total, budgetFor(uint64(k.Central.Pages.Grown()))+k.budget.shards)
}

// prove has class c found empty and full in turn, so that it gets room for a batch at least.
func prove(t testing.TB, k *Tier, c units.ClassID) {
	t.Helper()
	k.shared.take(c, make([]uintptr, 1), 1, none)
	n := max(k.shared.caches[c].capacity+1, sizeclass.Batch(c))
	insert(t, k, c, fetch(t, k, c, int(n)))
	k.giveBack(&k.shared, c, n)
}

func TestCachesFillOneCacheLine(t *testing.T) {
	require.EqualValues(t, 64, unsafe.Sizeof(cache{}))
	require.EqualValues(t, 64, unsafe.Sizeof(count{}))
	require.Zero(t, unsafe.Offsetof(group{}.counts)%64)
}

func TestArraysDoNotOverlapAndHoldWholeBatches(t *testing.T) {
	k := newTier(t)
	next := uint32(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		q, batch := &k.shared.caches[c], sizeclass.Batch(c)
		require.Equal(t, next, q.first)
		require.Zero(t, q.first%lineSlots, "classes share a cache line")
		require.Zero(t, q.max%batch)
		require.GreaterOrEqual(t, q.max, batch)
		require.LessOrEqual(t, q.max, sharedSizes().mostBatches*batch)
		if q.max > batch {
			require.LessOrEqual(t, units.Bytes(q.max)*sizeclass.Size(c), units.Bytes(sharedSizes().mostBytes))
		}
		require.Zero(t, q.capacity%batch)
		require.LessOrEqual(t, units.Bytes(q.capacity)*sizeclass.Size(c), units.Bytes(sharedSizes().bytes))
		require.LessOrEqual(t, q.capacity, q.max)
		next += (q.max + lineSlots - 1) &^ (lineSlots - 1)
	}
	require.Equal(t, next, sharedSizes().total())
	require.GreaterOrEqual(t, k.slots.Mapped(), uintptr(next)*8)
}

func TestObjectsComeBackLastInFirstOut(t *testing.T) {
	k := newTier(t)
	const c = 10
	objects := fetch(t, k, c, 60)
	insert(t, k, c, objects[:40])
	insert(t, k, c, objects[40:])
	var buf [centralfreelist.MaxBatch]uintptr
	require.Equal(t, 20, k.Remove(c, buf[:], 20))
	require.Equal(t, objects[40:], buf[:20])
	require.Equal(t, 40, k.Remove(c, buf[:], 64), "no more than are cached: a second trip would cost a lock")
	require.Equal(t, objects[:40], buf[:40])
	require.EqualValues(t, 120, stats(k, c).Hits)
	require.Zero(t, stats(k, c).Misses)
}

func TestWhatIsWrittenAtAnyIndexOfAnArrayIsReadThere(t *testing.T) {
	r := coretest.Rand(t)
	for _, z := range []sizes{sharedSizes(), shardSizes()} {
		slots := make([]uintptr, z.total())
		var g group
		g.init(z, uintptr(unsafe.Pointer(&slots[0])))
		var model [sizeclass.NumClasses][]uintptr
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			model[c] = make([]uintptr, g.caches[c].max)
		}
		for range coretest.Long(5000) {
			c := units.ClassID(1 + r.IntN(sizeclass.NumClasses-1))
			i := r.IntN(len(model[c]))
			n := 1 + r.IntN(min(len(model[c])-i, 100))
			objects := make([]uintptr, n)
			for j := range objects {
				objects[j] = uintptr(r.Uint64())
			}
			g.write(c, uint32(i), objects)
			copy(model[c][i:], objects)
		}
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			got := make([]uintptr, len(model[c]))
			g.read(c, 0, got)
			require.Equal(t, model[c], got)
		}
		runtime.KeepAlive(slots)
	}
}

func TestOnAnEmptyCacheRemoveAsksTheCentralFreeList(t *testing.T) {
	k := newTier(t)
	var buf [centralfreelist.MaxBatch]uintptr
	require.Equal(t, 32, k.Remove(3, buf[:], 32))
	require.EqualValues(t, 32, outstanding(k, 3))
	require.EqualValues(t, 32, stats(k, 3).Misses)
}

func TestWhatDoesNotFitGoesToTheCentralFreeList(t *testing.T) {
	k := newTier(t)
	for _, c := range []units.ClassID{1, 10, 60, 80} {
		prove(t, k, c)
		before := stats(k, c)
		capacity := int(stats(k, c).Capacity)
		objects := fetch(t, k, c, capacity+20)
		insert(t, k, c, objects[:capacity-2])
		require.EqualValues(t, capacity-2, stats(k, c).Used)
		require.Zero(t, k.Insert(c, objects[capacity-2:])) // 2 fit, 20 do not
		st := stats(k, c)
		require.EqualValues(t, capacity, st.Used)
		require.EqualValues(t, capacity, st.Hits-before.Hits)
		require.EqualValues(t, 20, st.Misses-before.Misses)
		require.EqualValues(t, capacity, outstanding(k, c))
		require.True(t, k.Holds(c, objects[0]))
		require.True(t, k.Holds(c, objects[capacity-1]))
		require.False(t, k.Holds(c, objects[capacity]))
	}
}

func TestBadPointersAreReportedWhenTheyReachTheirSpan(t *testing.T) {
	k := newTier(t)
	const c = 20
	capacity := int(stats(k, c).Capacity)
	objects := fetch(t, k, c, capacity+2)
	insert(t, k, c, objects[:capacity])
	bad := [2]uintptr{objects[capacity] + 8, objects[capacity+1]}
	require.Equal(t, bad[0], k.Insert(c, bad[:]))
	require.EqualValues(t, capacity+1, outstanding(k, c), "the good one went back")
}

func TestPlunderGivesBackExactlyWhatNobodyNeeded(t *testing.T) {
	k := newTier(t)
	const c = 10
	objects := fetch(t, k, c, 150)
	insert(t, k, c, objects)
	var held [sizeclass.NumClasses]int
	k.Plunder() // low was 0: all were new
	require.EqualValues(t, 150, stats(k, c).Used)

	var buf [centralfreelist.MaxBatch]uintptr
	require.Equal(t, 64, k.Remove(c, buf[:], 64))
	require.Equal(t, 36, k.Remove(c, buf[:], 36))
	insert(t, k, c, fetch(t, k, c, 70)) // 50, then 120: of 150, 50 were not needed
	held[c] = 100
	k.Plunder()
	require.EqualValues(t, 70, stats(k, c).Used)
	check(t, k, &held)

	k.Plunder() // nobody came
	require.Zero(t, stats(k, c).Used)
	k.Plunder()
	check(t, k, &held)
}

func TestDrainGivesBackEverything(t *testing.T) {
	k := newTier(t)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		insert(t, k, c, fetch(t, k, c, 100))
	}
	k.Drain()
	var held [sizeclass.NumClasses]int
	check(t, k, &held)
	var st pageheap.Stats
	k.Central.Pages.Stats(&st)
	require.Zero(t, st.Small)
	require.Empty(t, k.Central.Pages.Check())
}

func TestAClassGetsRoomWhenItIsFoundEmptyAndFullInTurn(t *testing.T) {
	k := newTier(t)
	const c = 46 // 4 KiB, batches of 16: none of it is cached at first
	insert(t, k, c, fetch(t, k, c, 64))
	require.Zero(t, stats(k, c).Used, "nobody has asked for any")
	for range 10 {
		before := stats(k, c).Used
		for stats(k, c).Used > 0 {
			k.shared.take(c, make([]uintptr, 16), 16, none)
		}
		prove(t, k, c)
		insert(t, k, c, fetch(t, k, c, 300))
		require.GreaterOrEqual(t, stats(k, c).Used, before)
		balanced(t, k)
	}
	require.Greater(t, stats(k, c).Used, uint32(100))
	require.LessOrEqual(t, uint64(stats(k, c).Used)<<12, k.budget.total)
}

// However many classes come and go, what the caches hold is bounded by the heap's size.
func TestWhatIsCachedIsBoundedByTheHeap(t *testing.T) {
	r := coretest.Rand(t)
	k := newTier(t)
	for range coretest.Long(3000) {
		c := units.ClassID(1 + r.IntN(sizeclass.NumClasses-1))
		var all []uintptr
		for n := int(min(1+units.Bytes(r.IntN(2<<20))/sizeclass.Size(c), 4000)); len(all) < n; {
			var buf [centralfreelist.MaxBatch]uintptr
			all = append(all, buf[:k.Remove(c, buf[:], min(n-len(all), len(buf)))]...)
		}
		insert(t, k, c, all)
		cached, least := uint64(0), uint64(0)
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			cached += uint64(stats(k, c).Used) * uint64(sizeclass.Size(c))
			least += uint64(k.shared.sizes.least(c)) * uint64(sizeclass.Size(c))
		}
		require.LessOrEqual(t, cached, least+budgetFor(uint64(k.Central.Pages.Grown())))
	}
	balanced(t, k)
}

func TestRebalanceMovesCapacityTowardsWantAndMakesNone(t *testing.T) {
	r := coretest.Rand(t)
	k := newTier(t)
	for range coretest.Long(200) {
		before := [sizeclass.NumClasses]uint32{}
		for c := range before {
			before[c] = k.shared.caches[c].capacity
		}
		busy := units.ClassID(1 + r.IntN(sizeclass.NumClasses-1))
		k.shared.caches[busy].wanted += uint32(r.IntN(1000))
		if r.IntN(2) == 0 {
			k.shared.caches[1+r.IntN(sizeclass.NumClasses-1)].wanted += uint32(r.IntN(1000))
		}
		missed := k.shared.caches[busy].wanted
		k.Rebalance()
		balanced(t, k)
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			q := &k.shared.caches[c]
			require.LessOrEqual(t, q.capacity, q.max)
			require.GreaterOrEqual(t, q.capacity, k.shared.sizes.least(c))
			require.Zero(t, q.wanted)
		}
		if missed > 1000 {
			require.GreaterOrEqual(t, k.shared.caches[busy].capacity, before[busy])
		}
	}
}

func TestAClassThatKeepsMissingGrowsToItsMaximum(t *testing.T) {
	k := newTier(t)
	for _, c := range []units.ClassID{2, 10} {
		q := &k.shared.caches[c]
		require.Less(t, q.capacity, q.max)
		for range 100 {
			q.wanted += 100
			before := q.capacity
			k.Rebalance()
			require.True(t, q.capacity > before || q.capacity == q.max)
		}
		require.Equal(t, q.max, q.capacity)
	}
}

func TestWithoutWantNothingMoves(t *testing.T) {
	k := newTier(t)
	k.budget = budget{}
	var before [sizeclass.NumClasses]uint32
	for c := range before {
		before[c] = k.shared.caches[c].capacity
	}
	k.Rebalance()
	for c := range k.shared.caches {
		require.Equal(t, before[c], k.shared.caches[c].capacity)
		k.shared.caches[c].wanted += 10 // all alike: nobody is better off
	}
	k.Rebalance()
	for c := range k.shared.caches {
		require.Equal(t, before[c], k.shared.caches[c].capacity)
	}
}

func TestAShrunkFullClassKeepsWithinItsCapacity(t *testing.T) {
	k := newTier(t)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		q := &k.shared.caches[c]
		for range 3 {
			q.wanted = 1
			k.Rebalance()
		}
		require.Greater(t, q.capacity, k.shared.sizes.least(c))
		for q.capacity > k.shared.sizes.least(c) {
			n := int(q.capacity - q.used)
			insert(t, k, c, fetch(t, k, c, n))
			before := q.capacity
			freed := k.shrink(&k.shared, c)
			require.Equal(t, uint64(before-q.capacity)*uint64(sizeclass.Size(c)), freed)
			require.Equal(t, q.capacity, q.used)
			require.EqualValues(t, q.used, outstanding(k, c))
			k.budget.give(freed)
			balanced(t, k)
		}
	}
}
