package transfer

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/simcpu"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
	"github.com/vcmalloc/vcmalloc/topology"
)

// divide gives k the domains of text, and simulated CPUs.
func divide(t testing.TB, k *Tier, text string) {
	t.Helper()
	at, fault := k.Divide(simcpu.Text(text))
	require.Equal(t, topology.OK, fault, "at %d", at)
	k.CPU = simcpu.Function()
	simcpu.Set(0)
}

// four is 4 domains of 2 CPUs; what else the machine has may make a fifth.
const four = "0-1;2-3;4-5;6-7"

func opened(k *Tier) (n int) {
	for d := range k.Domains() {
		var st DomainStats
		if k.Domain(d, &st); st.Open {
			n++
		}
	}
	return n
}

// removeOn and insertOn act as CPU cpu.
func removeOn(t testing.TB, k *Tier, cpu int32, c units.ClassID, n int) []uintptr {
	t.Helper()
	simcpu.Set(cpu)
	var buf [centralfreelist.MaxBatch]uintptr
	got := k.Remove(c, buf[:], n)
	require.Positive(t, got)
	for got < n { // a cache gives what it has
		more := k.Remove(c, buf[got:], n-got)
		require.Positive(t, more)
		got += more
	}
	return append([]uintptr(nil), buf[:got]...)
}

func insertOn(t testing.TB, k *Tier, cpu int32, c units.ClassID, objects []uintptr) {
	t.Helper()
	simcpu.Set(cpu)
	insert(t, k, c, objects)
}

func TestWithOneDomainThereAreNoShards(t *testing.T) {
	k := newTier(t)
	divide(t, k, "0-8191")
	require.Equal(t, 1, k.Domains())
	require.EqualValues(t, none, k.Here())
	insertOn(t, k, 3, 10, fetch(t, k, 10, 40))
	require.Zero(t, opened(k))
	require.Zero(t, stats(k, 10).Reused)
}

func TestAShardOpensWhenASecondDomainIsUsedAndClosesWhenOneIsLeft(t *testing.T) {
	k := newTier(t)
	divide(t, k, four)
	require.GreaterOrEqual(t, k.Domains(), 4)
	const c = 10
	insertOn(t, k, 0, c, fetch(t, k, c, 40))
	insertOn(t, k, 1, c, fetch(t, k, c, 40))
	require.Zero(t, opened(k), "a process in one domain needs no shard")
	require.EqualValues(t, 80, k.shared.caches[c].used)

	insertOn(t, k, 2, c, removeOn(t, k, 2, c, 40))
	require.Equal(t, 2, opened(k))
	require.EqualValues(t, 40, k.shared.caches[c].used)
	require.EqualValues(t, 40, k.shard(1).caches[c].used)
	insertOn(t, k, 1, c, removeOn(t, k, 1, c, 40))
	require.EqualValues(t, 40, k.shard(0).caches[c].used)

	insertOn(t, k, 5, c, fetch(t, k, c, 40))
	require.Equal(t, 3, opened(k))

	var held [sizeclass.NumClasses]int
	for range 2 * idleVisits { // domain 1 goes on
		held[c] += len(removeOn(t, k, 2, c, 1))
		k.Plunder()
	}
	require.Zero(t, opened(k), "the domain that remained needs no shard")
	check(t, k, &held)
	for d := range uint32(3) {
		require.Zero(t, k.shard(d).caches[c].used, "domain %d", d)
	}
	insertOn(t, k, 7, c, fetch(t, k, c, 40))
	require.Equal(t, 2, opened(k))
}

// useBoth has the process run in the first two domains, and leaves the caches of class c empty.
func useBoth(t testing.TB, k *Tier, c units.ClassID) {
	t.Helper()
	insertOn(t, k, 0, c, removeOn(t, k, 0, c, 1))
	insertOn(t, k, 2, c, removeOn(t, k, 2, c, 1))
	require.Equal(t, 2, opened(k))
	for _, cpu := range []int32{0, 2} { // they have proved that they need room for 64
		removeOn(t, k, cpu, c, 64)
		all := fetch(t, k, c, 64)
		insertOn(t, k, cpu, c, all)
	}
	k.Drain()
}

func TestAShardServesOnlyItsDomain(t *testing.T) {
	k := newTier(t)
	divide(t, k, four)
	const c = 10
	useBoth(t, k, c)
	before := stats(k, c)
	a, b := fetch(t, k, c, 32), fetch(t, k, c, 32)
	insertOn(t, k, 1, c, a)
	insertOn(t, k, 3, c, b)
	require.Equal(t, a, removeOn(t, k, 0, c, 32), "from the other CPU of the domain")
	require.Equal(t, b, removeOn(t, k, 2, c, 32))
	st := stats(k, c)
	require.EqualValues(t, 64, st.Reused-before.Reused)
	require.Equal(t, before.Crossed, st.Crossed)
}

func TestSwitchedOffThereIsOneSharedCacheAndCrossingsAreCountedStill(t *testing.T) {
	k := newTier(t)
	k.Legacy = true
	divide(t, k, four)
	const c = 10
	objects := fetch(t, k, c, 96)
	insertOn(t, k, 0, c, objects[:32])
	insertOn(t, k, 2, c, objects[32:64])
	insertOn(t, k, 4, c, objects[64:])
	require.Zero(t, opened(k))
	require.EqualValues(t, 96, stats(k, c).Used)
	require.Equal(t, objects[48:], removeOn(t, k, 2, c, 48)) // 32 of the third domain, 16 of the second
	st := stats(k, c)
	require.EqualValues(t, 48, st.Reused)
	require.EqualValues(t, 32, st.Crossed)
}

func TestADomainWithoutMemoryForAShardIsServedByTheSharedCaches(t *testing.T) {
	k := newTier(t)
	divide(t, k, four)
	useBoth(t, k, 10)
	k.domains.state[2] = refused // what open stores when the system has no memory
	insertOn(t, k, 4, 10, removeOn(t, k, 4, 10, 64))
	require.Equal(t, 2, opened(k))
	require.EqualValues(t, 64, k.shared.caches[10].used)
	var held [sizeclass.NumClasses]int
	held[10] = 2 * 64 // useBoth's
	k.Plunder()
	check(t, k, &held)
}

func TestASpanRemembersTheDomainThatFreedItsObjects(t *testing.T) {
	k := newTier(t)
	k.Legacy = true
	divide(t, k, four)
	const c = 10 // 56 objects a span
	objects := fetch(t, k, c, 40)
	simcpu.Set(0)
	require.Zero(t, k.insertShared(c, objects[:20], k.Here()))
	k.Drain()
	var st centralfreelist.Stats
	got := removeOn(t, k, 2, c, 30)
	require.Len(t, got, 30)
	k.Central.Stats(c, &st)
	require.EqualValues(t, 20, st.Reused, "the other ten never were in anybody's hands")
	require.EqualValues(t, 20, st.Crossed)
}

func TestWhatOverflowsAShardReachesTheOtherDomains(t *testing.T) {
	k := newTier(t)
	divide(t, k, four)
	const c = 10
	useBoth(t, k, c)
	insertOn(t, k, 0, c, fetch(t, k, c, 600))
	s := &k.shard(0).caches[c]
	require.Equal(t, s.capacity, s.used)
	require.Less(t, s.used, uint32(600))
	before := stats(k, c)
	require.Len(t, removeOn(t, k, 2, c, 32), 32)
	require.Len(t, removeOn(t, k, 2, c, 32), 32)
	after := stats(k, c)
	require.Greater(t, after.Crossed, before.Crossed)
}

func TestRandomOperationsOfManyDomainsConserveObjects(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		k := newTier(t)
		k.Legacy = legacy
		divide(t, k, four)
		m := newChurn(t, k, coretest.Rand(t))
		for i := range coretest.Long(10000) {
			c := m.class()
			if i%1000 == 0 && i > 0 {
				for range m.r.IntN(2 * idleVisits) {
					k.Plunder() // domains are left
				}
			}
			simcpu.Set(int32(m.r.IntN(1 + i/1000%8)))
			m.step(c, 48)
			if i%100 == 0 {
				check(t, k, held(&m.out))
				st := stats(k, c)
				require.LessOrEqual(t, st.Crossed, st.Reused)
			}
		}
		k.Drain()
		check(t, k, held(&m.out))
	}
}

// The page heap refuses at random moments: nothing is lost, and all comes back.
func TestObjectsAreConservedWhenMemoryRunsOut(t *testing.T) {
	r := coretest.Rand(t)
	k := new(Tier)
	require.True(t, k.Central.Pages.Init(pageheap.Options{Seed: rand.Uint64(), MaxBytes: 8 << units.HugePageShift}))
	t.Cleanup(k.Central.Pages.Unmap)
	require.True(t, k.Init())
	divide(t, k, four)
	var out [sizeclass.NumClasses][]uintptr
	refusals := 0
	for range coretest.Long(20000) {
		c := units.ClassID(1 + r.IntN(sizeclass.NumClasses-1))
		simcpu.Set(int32(r.IntN(8)))
		var buf [centralfreelist.MaxBatch]uintptr
		if r.IntN(5) < 4 {
			n := k.Remove(c, buf[:], 1+r.IntN(len(buf)))
			if n == 0 {
				refusals++
				if r.IntN(20) == 0 {
					k.Drain()
				}
			}
			out[c] = append(out[c], buf[:n]...)
			continue
		}
		n := copy(buf[:1+r.IntN(len(buf))], out[c])
		out[c] = out[c][n:]
		require.Zero(t, k.Insert(c, buf[:n]))
	}
	require.Positive(t, refusals)
	check(t, k, held(&out))
	giveAllBack(t, k, &out)
}

// 64 threads on one class, bound to the machine's CPUs, each a domain of its own.
func TestManyThreadsOnOneClassLoseAndDoubleNothing(t *testing.T) {
	coretest.Threads(t, 8)
	const c, threads = 5, 64
	// A thread that waits for a lock of the core keeps its P, and a lock's holder that Go stops in favour of another needs one
	// to go on: with 8 for 64 threads all of them may be with waiters.
	runtime.GOMAXPROCS(threads + 8)
	k := newTier(t)
	text := "0"
	if runtime.NumCPU() > 1 {
		text = "0;1"
	}
	divide(t, k, text)
	k.CPU = 0
	var set unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &set))
	var wg sync.WaitGroup
	for g := range threads {
		wg.Go(func() {
			runtime.LockOSThread() // not unlocked: the thread ends with its binding
			one := unix.CPUSet{}
			if one.Set(g % 2); set.IsSet(g % 2) {
				_ = unix.SchedSetaffinity(0, &one)
			}
			var mine []uintptr
			for i := range coretest.Long(400) {
				if (i+g)%2 == 0 {
					mine = append(mine, grab(t, k, c, 32)...)
					continue
				}
				mine = drop(t, k, c, mine)
				if g == 0 && i%16 == 0 {
					k.Plunder()
					k.Rebalance()
				}
			}
			for len(mine) > 0 {
				mine = drop(t, k, c, mine)
			}
		})
	}
	wg.Wait()
	var held [sizeclass.NumClasses]int
	check(t, k, &held)
	k.Drain()
	require.Zero(t, outstanding(k, c))
}

func TestAShardKeepsOnlyWhatComesAndGoes(t *testing.T) {
	k := newTier(t)
	divide(t, k, four)
	const one, both = 10, 12
	useBoth(t, k, 1)
	s := k.shard(0)
	for range 50 {
		insertOn(t, k, 0, one, fetch(t, k, one, 64)) // a stream that only comes
	}
	require.Zero(t, s.caches[one].capacity)
	for range 50 { // and bursts of 1000 that come and go
		var all []uintptr
		for range 20 {
			all = append(all, removeOn(t, k, 0, both, 50)...)
		}
		insertOn(t, k, 1, both, all)
	}
	require.EqualValues(t, 1000, s.caches[both].used)
	before := stats(k, both)
	for range 20 {
		removeOn(t, k, 0, both, 50)
	}
	after := stats(k, both)
	require.EqualValues(t, 1000, after.Reused-before.Reused)
	require.Equal(t, before.Crossed, after.Crossed)
	balanced(t, k)
}

func TestCapacityOfAShardReturnsWhenNobodyComes(t *testing.T) {
	r := coretest.Rand(t)
	k := newTier(t)
	divide(t, k, four)
	useBoth(t, k, 1)
	s := k.shard(0)
	for range 2000 {
		c := units.ClassID(1 + r.IntN(sizeclass.NumClasses-1))
		n := 1 + r.IntN(64)
		insertOn(t, k, 0, c, removeOn(t, k, 0, c, n))
		switch r.IntN(40) {
		case 0:
			k.Plunder()
		case 1:
			k.Rebalance()
		}
		balanced(t, k)
	}
	for range 3 {
		removeOn(t, k, 0, 1, 1) // the domain is in use, its classes are not
		k.Plunder()
	}
	for c := units.ClassID(2); c < sizeclass.NumClasses; c++ {
		require.Zero(t, s.caches[c].capacity)
		require.Equal(t, k.shared.sizes.least(c), k.shared.caches[c].capacity)
	}
	var held [sizeclass.NumClasses]int
	held[1] = int(outstanding(k, 1)) - int(stats(k, 1).Used)
	check(t, k, &held)
}

// A background thread gives back what other domains' vCPUs held. That opens no shard again, and they find it all.
func TestWhatIsGivenBackInADomainsNameIsItsOwn(t *testing.T) {
	k := newTier(t)
	divide(t, k, four)
	const c = 10
	useBoth(t, k, c)
	a, b := fetch(t, k, c, 32), fetch(t, k, c, 32)
	simcpu.Set(7)
	before := stats(k, c)
	require.Zero(t, k.InsertFrom(2, c, append([]uintptr(nil), a...)))
	require.EqualValues(t, 32, k.shard(1).caches[c].used)
	require.Equal(t, 2, opened(k), "the caller's own domain does not count as in use")
	require.Equal(t, a, removeOn(t, k, 3, c, 32))

	var held [sizeclass.NumClasses]int
	held[c] = 2*64 + 2*32 // useBoth's, a, b
	for range 2 * idleVisits {
		held[c] += len(removeOn(t, k, 2, c, 1))
		k.Plunder()
	}
	require.Zero(t, opened(k))
	k.Drain()
	require.Zero(t, k.InsertFrom(2, c, append([]uintptr(nil), a...)))
	require.Zero(t, k.InsertFrom(1, c, append([]uintptr(nil), b...)))
	require.Zero(t, opened(k), "domains that were left")
	require.EqualValues(t, 64, k.shared.caches[c].used)
	require.Equal(t, stats(k, c).Crossed, before.Crossed)
	require.ElementsMatch(t, b, removeOn(t, k, 0, c, 32))
	require.ElementsMatch(t, a, removeOn(t, k, 2, c, 32))
	require.Equal(t, stats(k, c).Crossed, before.Crossed)
	check(t, k, &held)
}

// What two domains free lies mixed up in the shared caches and in spans: each gets its own back.
func TestWhatOverflowsAShardComesBackToItsDomain(t *testing.T) {
	for _, drained := range []bool{false, true} {
		k := newTier(t)
		divide(t, k, four)
		const c = 10 // 56 objects a span
		useBoth(t, k, c)
		for _, cpu := range []int32{0, 2} {
			s := k.shard(uint32(cpu / 2))
			k.budget.give(uint64(s.caches[c].capacity) * uint64(sizeclass.Size(c)))
			s.caches[c].capacity = 0
		}
		spans := map[units.SpanID][]uintptr{}
		for _, p := range fetch(t, k, c, 10*int(sizeclass.Objects(c))) {
			id := k.Central.Pages.SpanAt(p)
			spans[id] = append(spans[id], p)
		}
		mine, turn := map[uintptr]int32{}, int32(0)
		for _, objects := range spans {
			if len(objects) == int(sizeclass.Objects(c)) {
				insertOn(t, k, turn, c, objects[1:]) // one is out still, so the span stays
				for _, p := range objects[1:] {
					mine[p] = turn
				}
				turn = 2 - turn
			}
		}
		require.Greater(t, len(mine), 400)
		if drained {
			k.Drain()
		}
		before, crossed := stats(k, c), central(k, c)
		for _, cpu := range []int32{0, 2} {
			for range 3 {
				for _, p := range removeOn(t, k, cpu, c, 50) {
					require.Contains(t, mine, p)
					require.Equal(t, cpu, mine[p])
				}
			}
		}
		require.Equal(t, before.Crossed, stats(k, c).Crossed)
		require.Equal(t, crossed, central(k, c))
	}
}

// central is how many objects of class c spans handed to another domain than that which freed them.
func central(k *Tier, c units.ClassID) uint64 {
	var st centralfreelist.Stats
	k.Central.Stats(c, &st)
	return st.Crossed
}

func TestTakingOnesOwnLeavesTheOthersInOrder(t *testing.T) {
	r := coretest.Rand(t)
	k := newTier(t)
	k.Legacy = true
	divide(t, k, four)
	const c = 10
	g := &k.shared
	for range coretest.Long(500) {
		type entry struct {
			p uintptr
			d uint32
		}
		var model []entry
		g.caches[c].capacity = g.caches[c].max
		for n := r.IntN(300); len(model) < n; {
			d := uint32(1 + r.IntN(3))
			objects := fetch(t, k, c, 1+r.IntN(12))
			require.EqualValues(t, len(objects), g.put(c, objects, d, &k.budget))
			for _, p := range objects {
				model = append(model, entry{p, d})
			}
		}
		for range 3 {
			d, n := uint32(1+r.IntN(4)), 1+r.IntN(centralfreelist.MaxBatch)
			var want []uintptr
			var rest []entry
			for i := len(model) - 1; i >= 0; i-- {
				if model[i].d == d && len(want) < n {
					want = append(want, model[i].p)
				} else {
					rest = append([]entry{model[i]}, rest...)
				}
			}
			var buf [centralfreelist.MaxBatch]uintptr
			got := g.takeOwn(c, buf[:], n, d)
			require.Equal(t, want, append([]uintptr(nil), buf[:got]...))
			model = rest
			require.EqualValues(t, len(model), g.caches[c].used)
			slots, tags := g.at(g.caches[c].first, g.caches[c].used), g.tagsAt(g.caches[c].first, g.caches[c].used)
			for i, e := range model {
				require.Equal(t, e.p, slots[i])
				require.EqualValues(t, e.d, tags[i])
			}
			insert(t, k, c, want)
			for _, p := range want { // they lie on top now, of the domain of the CPU here
				model = append(model, entry{p, 1})
			}
		}
		k.drain(g)
	}
}
