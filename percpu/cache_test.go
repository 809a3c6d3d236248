package percpu

import (
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
	"github.com/vcmalloc/vcmalloc/transfer"
)

// long multiplies the work when VCMTEST_LONG=1.
func long(n int) int {
	if os.Getenv("VCMTEST_LONG") == "1" {
		return n * 20
	}
	return n
}

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

// coreThreads lets goroutines stand for threads: each has a processor of its own, and nothing stops the world
// while one of them waits in the kernel for another's lock.
func coreThreads(t testing.TB) {
	procs, gc := runtime.GOMAXPROCS(8), debug.SetGCPercent(-1)
	t.Cleanup(func() {
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(gc)
	})
}

func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// checkVCPU holds the invariants of doc.go for one vCPU, at rest.
func checkVCPU(t testing.TB, k *Cache, v units.VCPU) {
	t.Helper()
	in := k.info(v)
	s := slab(in.slab)
	if s == 0 {
		require.Equal(t, k.empty, *k.entry(v))
		return
	}
	require.Equal(t, uintptr(s), *k.entry(v))
	require.Equal(t, k.area(v, in.shift), uintptr(s))
	l := k.layoutOf(s)
	require.Same(t, &k.layouts[in.shift-minShift], l)
	bytes := in.available
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		h := s.load(c)
		if h == emptyHeader {
			require.Equal(t, uintptr(1), *s.word(emptyWord)&1)
			continue
		}
		begin, end := uint32(l.begin[c]), uint32(l.begin[c])+uint32(l.slots[c])
		require.True(t, begin <= h.current() && h.current() <= h.end() && h.end() <= end,
			"class %d: begin %d, current %d, end %d, limit %d", c, begin, h.current(), h.end(), end)
		require.Equal(t, uintptr(s)+uintptr(begin-1)*wordBytes|1, *s.word(begin - 1), "class %d: the odd word", c)
		for i := begin; i < h.current(); i++ {
			require.Equal(t, c, k.Transfer.Central.Pages.ClassAt(*s.word(i)))
		}
		bytes += int64(h.end()-begin) * int64(sizeclass.Size(c))
	}
	require.GreaterOrEqual(t, in.available, int64(0))
	require.Equal(t, in.capacity, bytes, "vCPU %d: available bytes and the classes' capacity differ from the budget", v)
	require.EqualValues(t, k.limit, in.capacity)
}

// check holds all invariants; held is how many objects of each class the test has.
func check(t testing.TB, k *Cache, held *[sizeclass.NumClasses]int) {
	t.Helper()
	for v := units.VCPU(0); v < k.VCPUs(); v++ {
		checkVCPU(t, k, v)
	}
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
		begin := uint32(k.layouts[0].begin[c])
		n := min(uint32(k.layouts[0].slots[c]), 6)
		s.mark(begin)
		s.store(c, makeHeader(begin, begin+n))
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

func TestHeadersAreSwappedOnlyWhileNobodyElseTouchedThem(t *testing.T) {
	k := newCache(t, 1, 0)
	require.True(t, k.populate(0))
	s := slab(k.info(0).slab)
	h := s.load(5)
	require.True(t, k.swapHeader(0, s, 5, h, makeHeader(60, 61)))
	require.False(t, k.swapHeader(0, s, 5, h, makeHeader(70, 71)))
	require.False(t, k.swapHeader(0, s+1<<minShift, 5, makeHeader(60, 61), h))
	require.Equal(t, makeHeader(60, 61), s.load(5))
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
	require.Greater(t, k.capacity(slab(in.slab), a), sizeclass.Batch(a))
	churn(b, 300, 200)
	require.Greater(t, k.capacity(slab(in.slab), b), sizeclass.Batch(b))
	spent := in.available
	for _, c := range []units.ClassID{70, 75, 80} {
		churn(c, 100, 50)
	}
	t.Logf("available %d, then %d", spent, in.available)
	check(t, k, &held)
	empty(t, k)
}

func TestEnlargeKeepsObjectsOrderAndCapacity(t *testing.T) {
	k := newCache(t, 1, 0)
	require.True(t, k.populate(0))
	r := newRand(t)
	var held [sizeclass.NumClasses]int
	var loose [sizeclass.NumClasses][]uintptr
	for shift := uint32(minShift + 1); shift <= maxShift; shift++ {
		for range 3000 {
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
		in := k.info(0)
		old := slab(in.slab)
		var before [sizeclass.NumClasses][]uintptr
		var capacities [sizeclass.NumClasses]uint32
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			l := k.layoutOf(old)
			for i := uint32(l.begin[c]); i < old.load(c).current(); i++ {
				before[c] = append(before[c], *old.word(i))
			}
			capacities[c] = k.capacity(old, c)
		}
		if in.shift >= shift {
			continue // it grew by itself
		}
		k.enlarge(0, in)
		require.Equal(t, shift, in.shift)
		s := slab(in.slab)
		require.NotEqual(t, old, s)
		for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
			begin := uint32(k.layoutOf(s).begin[c])
			require.Equal(t, capacities[c], k.capacity(s, c))
			require.EqualValues(t, len(before[c]), k.length(s, c))
			for i, p := range before[c] {
				require.Equal(t, p, *s.word(begin + uint32(i)))
			}
		}
		check(t, k, &held)
		require.Zero(t, old.load(3), "the old slab's memory is gone")
		require.Zero(t, k.capacity(old, 3))
		require.Zero(t, k.length(old, 3))
	}
	require.EqualValues(t, maxShift, k.info(0).shift)
	k.enlarge(0, k.info(0)) // there is no larger one
	require.EqualValues(t, maxShift, k.info(0).shift)
	check(t, k, &held)
}

func TestAClassThatOutgrowsItsPlaceGetsALargerSlab(t *testing.T) {
	k := newCache(t, 1, 0)
	require.True(t, k.populate(0))
	c := sizeclass.ForMalloc(64)
	var objects []uintptr
	for range 3000 {
		for range 400 {
			objects = append(objects, k.allocOn(0, c))
		}
		for _, p := range objects {
			require.Zero(t, k.freeOn(0, c, p))
		}
		objects = objects[:0]
		if k.info(0).shift > minShift {
			break
		}
	}
	require.Greater(t, k.info(0).shift, uint32(minShift))
	var held [sizeclass.NumClasses]int
	check(t, k, &held)
}

func TestVCPUsThatGrowAtOnceSeeWholeLayouts(t *testing.T) {
	coreThreads(t)
	for range long(20) {
		t.Run("", growAtOnce)
	}
}

func growAtOnce(t *testing.T) {
	k := newCache(t, 4, 0)
	var wg sync.WaitGroup
	for v := units.VCPU(0); v < 4; v++ {
		require.True(t, k.populate(v))
		for c := units.ClassID(1); c < 40; c++ {
			require.Zero(t, k.freeOn(v, c, k.allocOn(v, c)))
		}
	}
	for v := units.VCPU(0); v < 4; v++ {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for range layouts - 1 {
				k.enlarge(v, k.info(v))
			}
		})
	}
	wg.Wait()
	var held [sizeclass.NumClasses]int
	check(t, k, &held)
	require.EqualValues(t, maxShift, k.info(3).shift)
}
