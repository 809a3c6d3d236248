package percpu

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
	"github.com/vcmalloc/vcmalloc/transfer"
)

// newCache is a cache whose slabs are guarded by locks: restartable sequences need C's threads, and are put
// under stress by the C door's tests. With locks any goroutine may act on any vCPU.
func newCache(t testing.TB, vcpus uintptr, limit units.Bytes) *Cache {
	t.Helper()
	k := new(Cache)
	pages := &k.Transfer.Central.Pages
	require.True(t, pages.Init(pageheap.Options{Seed: rand.Uint64()}), "no window")
	t.Cleanup(pages.Unmap)
	require.True(t, k.Init(Options{VCPUs: vcpus, Limit: limit}))
	return k
}

// checkVCPU holds the invariants of doc.go for one vCPU, at rest.
func checkVCPU(t testing.TB, k *Cache, v units.VCPU) {
	t.Helper()
	in := k.info(v)
	s := slab(in.slab)
	if s == 0 {
		require.Equal(t, k.empty, *k.entry(v))
		require.Equal(t, in.capacity, in.available, "vCPU %d has no slab, but classes with capacity", v)
		return
	}
	require.Equal(t, uintptr(s), *k.entry(v))
	require.Equal(t, k.area(v, in.shift, in.place), uintptr(s))
	bytes := in.available
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		h, begin, end := s.load(c), s.begin(c), s.end(c)
		require.True(t, begin <= h.index() && h.index() <= end && end <= begin+s.slots(c),
			"class %d: begin %d, index %d, end %d, slots %d", c, begin, h.index(), end, s.slots(c))
		for i := h.index(); i > begin; i-- {
			require.Equal(t, i, h.index(), "class %d: a header names its slot", c)
			require.Equal(t, c, k.Transfer.Central.Pages.ClassAt(h.top()))
			h = *s.word(i - 1)
		}
		require.Equal(t, s.base(c), h, "class %d: what lies below all objects", c)
		bytes += int64(end-begin) * int64(sizeclass.Size(c))
	}
	require.GreaterOrEqual(t, in.available, int64(0))
	require.Equal(t, in.capacity, bytes, "vCPU %d: available bytes and the classes' capacity differ from the budget", v)
}

// check holds all invariants; held is how many objects of each class the test has.
func check(t testing.TB, k *Cache, held *[sizeclass.NumClasses]int) {
	t.Helper()
	budgets, ran := int64(0), int64(0)
	for v := units.VCPU(0); v < k.VCPUs(); v++ {
		checkVCPU(t, k, v)
		if c := k.info(v).capacity; c != 0 {
			budgets, ran = budgets+c, ran+1
		}
	}
	require.Equal(t, ran*int64(k.limit), budgets, "the sum of all budgets")
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		var below transfer.Stats
		var central centralfreelist.Stats
		k.Transfer.Stats(c, &below)
		k.Transfer.Central.Stats(c, &central)
		require.EqualValues(t, central.Capacity-central.Free, uint64(held[c])+uint64(below.Used)+uint64(k.Objects(c)), "class %d", c)
	}
}

// empty drains everything and checks that no span lives.
func empty(t testing.TB, k *Cache) {
	t.Helper()
	k.DrainAll()
	k.Transfer.Drain()
	var st pageheap.Stats
	k.Transfer.Central.Pages.Stats(&st)
	require.Zero(t, st.Small)
	require.Equal(t, st.SpansAllocated, st.SpansFreed)
	require.Empty(t, k.Transfer.Central.Pages.Check())
	for v := units.VCPU(0); v < k.VCPUs(); v++ {
		var st Stats
		k.Stats(v, &st)
		require.Zero(t, st.Used)
		require.Equal(t, st.Capacity, st.Available)
	}
}

func TestInfosDoNotShareCacheLines(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(info{}), uintptr(1<<infoShift))
	require.Zero(t, unsafe.Offsetof(info{}.available)%8)
}

func TestSlabPushesAndPopsInOrder(t *testing.T) {
	k := newCache(t, 2, 0)
	require.True(t, k.populate(1))
	s := slab(k.info(1).slab)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		var out [8]uintptr
		require.Zero(t, s.pop(c, out[:], 8), "no slots: nothing pops")
		require.Zero(t, s.push(c, []uintptr{2}), "and nothing fits")
		n := min(s.slots(c), 6)
		s.setEnd(c, s.begin(c)+n)
		if n < 6 {
			continue
		}
		require.Equal(t, 3, s.push(c, []uintptr{10, 12, 14}))
		require.Equal(t, 2, s.push(c, []uintptr{16, 18}))
		require.Equal(t, 1, s.push(c, []uintptr{20, 22}), "what fits: the first, on top")
		require.Zero(t, s.push(c, []uintptr{24}))
		require.True(t, s.holds(c, 10) && s.holds(c, 20))
		require.False(t, s.holds(c, 22))
		require.Equal(t, 4, s.pop(c, out[:], 4))
		require.Equal(t, []uintptr{20, 16, 18, 10}, out[:4])
		require.False(t, s.holds(c, 16), "a popped slot still has its content, which does not count")
		require.Equal(t, 2, s.pop(c, out[:], 8))
		require.Equal(t, []uintptr{12, 14}, out[:2])
		require.Zero(t, s.pop(c, out[:], 8))
	}
}

func TestEndsAreSwappedOnlyWhileNobodyElseTouchedThemAndNoObjectIsCutOff(t *testing.T) {
	k := newCache(t, 1, 0)
	require.True(t, k.populate(0))
	s := slab(k.info(0).slab)
	begin := s.begin(5)
	require.True(t, k.swapEnd(0, s, 5, begin, begin+8))
	require.False(t, k.swapEnd(0, s, 5, begin, begin+9))
	require.False(t, k.swapEnd(0, s+1<<minShift, 5, begin+8, begin+9))
	require.Equal(t, 4, s.push(5, []uintptr{16, 32, 48, 64}))
	require.False(t, k.swapEnd(0, s, 5, begin+8, begin+3))
	require.True(t, k.swapEnd(0, s, 5, begin+8, begin+4))
	require.EqualValues(t, 4, s.capacity(5))
	require.Zero(t, s.unused(5))
	require.Zero(t, s.push(5, []uintptr{80}))
}

func TestOnlyVCPUsThatAreUsedHaveASlab(t *testing.T) {
	k := newCache(t, 200, 0)
	var st Stats
	for v := units.VCPU(0); v < 200; v++ {
		k.Stats(v, &st)
		require.False(t, st.Populated)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := k.Alloc(3)
	require.NotZero(t, p)
	require.Zero(t, k.Free(3, p))
	populated := 0
	for v := units.VCPU(0); v < 200; v++ {
		if k.Stats(v, &st); st.Populated {
			populated++
			require.EqualValues(t, 1<<minShift, st.SlabBytes)
			require.Equal(t, DefaultLimit, st.Capacity)
		}
	}
	require.True(t, populated == 1 || populated == 2, "%d are populated", populated)
	empty(t, k)
}

func TestAFullOrEmptyClassCarriesOnFromTheTransferCache(t *testing.T) {
	k := newCache(t, 1, 0)
	require.True(t, k.populate(0))
	var held [sizeclass.NumClasses]int
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		var objects []uintptr
		seen := map[uintptr]bool{}
		for range 300 {
			p := k.allocOn(0, c)
			require.NotZero(t, p)
			require.False(t, seen[p])
			seen[p] = true
			objects = append(objects, p)
		}
		held[c] = len(objects)
		check(t, k, &held)
		for _, p := range objects {
			require.Zero(t, k.freeOn(0, c, p))
		}
		held[c] = 0
	}
	check(t, k, &held)
	var st Stats
	k.Stats(0, &st)
	require.Positive(t, st.Underflows)
	require.Positive(t, st.Overflow)
	require.NotZero(t, k.info(0).underflows)
	empty(t, k)
}

// A thread that was put aside may look at a slab which is being laid out anew, where class 0 too may seem to have capacity.
func TestClassZeroIsNeverStolenFrom(t *testing.T) {
	k := newCache(t, 1, units.MaxSmall)
	require.True(t, k.populate(0))
	in := k.info(0)
	s := slab(in.slab)
	begin := s.end(0)
	s.setEnd(0, begin+8)
	for range 2 * sizeclass.NumClasses {
		k.steal(0, in, 5, 1<<20)
	}
	require.EqualValues(t, begin+8, s.end(0))
	s.setEnd(0, begin)
	empty(t, k)
}

func TestASpentBudgetMovesToTheClassesThatMiss(t *testing.T) {
	k := newCache(t, 1, units.MaxSmall)
	require.True(t, k.populate(0))
	in := k.info(0)
	var held [sizeclass.NumClasses]int
	// Class a takes all it can get, then class b comes.
	a, b := sizeclass.ForMalloc(8<<10), sizeclass.ForMalloc(4<<10)
	churn := func(c units.ClassID, rounds, n int) {
		for range rounds {
			var objects []uintptr
			for range n {
				objects = append(objects, k.allocOn(0, c))
			}
			for _, p := range objects {
				require.Zero(t, k.freeOn(0, c, p))
			}
		}
	}
	churn(a, 300, 100)
	require.Greater(t, slab(in.slab).capacity(a), sizeclass.Batch(a))
	churn(b, 300, 200)
	require.Greater(t, slab(in.slab).capacity(b), sizeclass.Batch(b))
	spent := in.available
	for _, c := range []units.ClassID{70, 75, 80} {
		churn(c, 100, 50)
	}
	t.Logf("available %d, then %d", spent, in.available)
	check(t, k, &held)
	empty(t, k)
}

// contents is what each class of a slab holds, from the top, and its capacity.
func contents(s slab) (objects [sizeclass.NumClasses][]uintptr, capacities needs) {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		for h := s.load(c); !h.empty(); h = *s.word(h.index() - 1) {
			objects[c] = append(objects[c], h.top())
		}
		capacities[c] = s.capacity(c)
	}
	return objects, capacities
}

func TestANewLayoutKeepsObjectsOrderAndCapacity(t *testing.T) {
	k := newCache(t, 1, 0)
	require.True(t, k.populate(0))
	r := coretest.Rand(t)
	in := k.info(0)
	var held [sizeclass.NumClasses]int
	var loose [sizeclass.NumClasses][]uintptr
	seen := map[uint32]bool{}
	for range 60 {
		for range 2000 {
			c := units.ClassID(1 + r.IntN(30))
			if len(loose[c]) > 0 && r.IntN(2) == 0 {
				require.Zero(t, k.freeOn(0, c, loose[c][0]))
				loose[c] = loose[c][1:]
			} else {
				loose[c] = append(loose[c], k.allocOn(0, c))
			}
		}
		for c := range loose {
			held[c] = len(loose[c])
		}
		old := slab(in.slab)
		objects, capacities := contents(old)
		need := capacities
		for range r.IntN(4) {
			need[1+r.IntN(sizeclass.NumClasses-1)] += uint32(r.IntN(1 << r.IntN(15)))
		}
		in.mu.Lock()
		ok := k.relayout(0, in, &need, 0)
		in.mu.Unlock()
		require.True(t, ok)
		s := slab(in.slab)
		require.NotEqual(t, old, s)
		seen[in.shift] = true
		nowObjects, nowCapacities := contents(s)
		require.Equal(t, objects, nowObjects)
		require.Equal(t, capacities, nowCapacities)
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			require.GreaterOrEqual(t, s.slots(c), need[c])
			require.Zero(t, old.load(c), "the old slab's memory is gone")
			require.Zero(t, old.capacity(c))
			require.Zero(t, old.length(c))
		}
		check(t, k, &held)
	}
	require.Greater(t, len(seen), 2, "slabs of several sizes: %v", seen)
}

func TestNeedsBeyondTheLargestSlabChangeNothing(t *testing.T) {
	k := newCache(t, 1, 1<<30)
	require.True(t, k.populate(0))
	in := k.info(0)
	old := in.slab
	var need needs
	need[1] = 0x10000
	require.False(t, k.relayout(0, in, &need, 0))
	require.Equal(t, old, in.slab)
	k.outgrow(0, in, 1, 1<<20) // as much as there is room for
	require.NotEqual(t, old, in.slab)
	require.EqualValues(t, maxShift, in.shift)
	require.Greater(t, slab(in.slab).slots(1), uint32(60000))
	var held [sizeclass.NumClasses]int
	check(t, k, &held)
}

func TestAClassThatOutgrowsItsPlaceGetsRoomForAllItNeeds(t *testing.T) {
	k := newCache(t, 1, 0)
	require.True(t, k.populate(0))
	c := sizeclass.ForMalloc(64)
	var objects []uintptr
	const live = 10000
	churn := func() uint64 {
		before := k.info(0).misses()
		for range live {
			objects = append(objects, k.allocOn(0, c))
		}
		for _, p := range objects {
			require.Zero(t, k.freeOn(0, c, p))
		}
		objects = objects[:0]
		return k.info(0).misses() - before
	}
	first := churn()
	for range 200 {
		churn()
	}
	require.Greater(t, first, uint64(100))
	require.Zero(t, churn(), "640 KB come and go within the budget")
	require.LessOrEqual(t, k.info(0).resizes, uint32(8))
	var held [sizeclass.NumClasses]int
	check(t, k, &held)
}

func TestTheLegacyDesignNeverChangesItsSlabs(t *testing.T) {
	k := new(Cache)
	pages := &k.Transfer.Central.Pages
	require.True(t, pages.Init(pageheap.Options{Seed: rand.Uint64()}), "no window")
	t.Cleanup(pages.Unmap)
	require.True(t, k.Init(Options{VCPUs: 2, Policy: Static}))
	for v := units.VCPU(0); v < 2; v++ {
		require.True(t, k.populate(v))
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			for range 20 {
				var objects []uintptr
				for range 300 {
					objects = append(objects, k.allocOn(v, c))
				}
				for _, p := range objects {
					require.Zero(t, k.freeOn(v, c, p))
				}
			}
		}
	}
	for range 3 * idleLooks {
		k.DrainIdle()
		k.Balance()
	}
	var held [sizeclass.NumClasses]int
	check(t, k, &held)
	var st Stats
	k.Stats(0, &st)
	require.Equal(t, LegacyLimit, st.Capacity)
	require.EqualValues(t, 1<<legacyShift, st.SlabBytes)
	require.Positive(t, st.Used)
	require.Zero(t, st.Resizes+st.Drains)
	empty(t, k)
}
