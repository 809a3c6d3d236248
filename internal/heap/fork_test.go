package heap

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// These tests open and close the gate as a fork does; forks themselves are tested in C.

// counters are what no thread may change while the gate is shut.
func counters(h *Heap) (s Stats, k [sizeclass.NumClasses]ClassStats) {
	h.stats(&s)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		h.class(c, &k[c])
	}
	s.Side = 0
	return s, k
}

// oneOfEach allocates and fills an object of each size of interest; held is what they hold, in bytes.
func oneOfEach(t *testing.T, h *Heap) (objects []object2, held units.Bytes) {
	t.Helper()
	for i, size := range sizesOfInterest() {
		p := h.Malloc(size)
		fill(p, size, uint64(i))
		held += h.Usable(p)
		objects = append(objects, object2{p: p, size: size, key: uint64(i)})
	}
	check(t, h, held)
	return objects, held
}

func TestDuringAForkTheHeapRestsAndThreadsGoOn(t *testing.T) {
	h := newHeap(t, Options{})
	old, _ := oneOfEach(t, h)
	h.ForkBegin(0)
	before, classes := counters(h)
	var during []object2
	for i, size := range sizesOfInterest() {
		p := h.Malloc(size)
		require.True(t, h.side.contains(p))
		require.GreaterOrEqual(t, h.Usable(p), size)
		fill(p, size, uint64(5000+i))
		during = append(during, object2{p: p, size: size, key: uint64(5000 + i)})
		require.Zero(t, h.Aligned(size, 4096)%4096)
	}
	for i, o := range old {
		require.Equal(t, -1, intact(o.p, o.size, o.size, o.key))
		if i%2 == 0 {
			h.Free(o.p, CallFree)
			continue
		}
		q := h.Realloc(o.p, 2*o.size+20, CallRealloc)
		require.True(t, h.side.contains(q))
		require.Equal(t, -1, intact(q, o.size, o.size, o.key))
		h.Free(q, CallFree)
	}
	h.Background(1 << 50)
	require.Zero(t, h.Trim())
	after, classesAfter := counters(h)
	require.Equal(t, before, after, "the heap was touched")
	require.Equal(t, classes, classesAfter)
	require.Zero(t, h.inside())
	require.NotZero(t, h.deferred)

	h.ForkParent()
	h.Free(h.Malloc(1), CallFree)
	require.Zero(t, h.deferred, "the next one inside frees what was deferred")
	check(t, h, 0)
	for _, o := range during {
		require.Equal(t, -1, intact(o.p, o.size, o.size, o.key))
		q := h.Realloc(o.p, o.size+10, CallRealloc)
		require.False(t, h.side.contains(q), "a side object moves home when it is resized")
		require.Equal(t, -1, intact(q, o.size, o.size, o.key))
		h.Free(q, CallFree)
	}
	check(t, h, 0)
}

func TestForkWaitsUntilNobodyIsInside(t *testing.T) {
	coretest.Threads(t, 12)
	h := newHeap(t, Options{})
	g := h.enter()
	require.GreaterOrEqual(t, g, 0)
	rest := make(chan uint32)
	go func() {
		h.ForkBegin(0)
		rest <- h.inside()
	}()
	require.Eventually(t, func() bool { return h.enter2() < 0 }, 10*time.Second, time.Millisecond)
	select {
	case <-rest:
		t.Fatal("the fork did not wait")
	default:
	}
	h.leave(g)
	require.Zero(t, <-rest)
	h.ForkParent()
	require.GreaterOrEqual(t, h.enter2(), 0)
}

// enter2 enters and leaves at once.
func (h *Heap) enter2() int {
	g := h.enter()
	if g >= 0 {
		h.leave(g)
	}
	return g
}

func TestForksMayOverlap(t *testing.T) {
	h := newHeap(t, Options{})
	h.ForkBegin(0)
	h.ForkBegin(0)
	h.ForkParent()
	require.Equal(t, -1, h.enter2(), "the other one is under way")
	h.ForkParent()
	require.GreaterOrEqual(t, h.enter2(), 0)

	h.ForkBegin(0)
	h.ForkBegin(0)
	h.ForkChild(0) // the child of one of them
	require.GreaterOrEqual(t, h.enter2(), 0)
}

func TestAHandlerThatForksInsideDoesNotWaitForItsOwnThread(t *testing.T) {
	h := newHeap(t, Options{})
	g := h.enter()
	h.ForkBegin(1)
	require.True(t, h.side.contains(h.NestedMalloc(100, 16)))
	h.ForkParent()
	h.leave(g)
	require.Zero(t, h.inside())

	// In the child the thread is still inside, and leaves when the handler returns.
	g = h.enter()
	h.tick.busy = 1 // another thread was at it
	h.ForkBegin(1)
	h.ForkChild(1)
	require.EqualValues(t, 1, h.inside())
	h.leave(g)
	require.Zero(t, h.inside())
	require.Zero(t, h.tick.busy)

	// It was in malloc, but not yet inside: nobody will leave.
	h.ForkBegin(1)
	h.ForkChild(1)
	require.Zero(t, h.inside())

	// Another thread waits for a lock of the handler's: it never comes to rest.
	g, other := h.enter(), h.enter()
	h.ForkBegin(1)
	h.ForkParent()
	h.leave(other)
	h.leave(g)
	require.Zero(t, h.inside())
	check(t, h, 0)
}

func TestAHandlersFreesWaitForTheNextOneInside(t *testing.T) {
	h := newHeap(t, Options{})
	var live []uintptr
	for _, size := range sizesOfInterest() {
		live = append(live, h.Malloc(size))
	}
	before, classes := counters(h)
	for _, p := range live {
		h.NestedFree(p, CallFree)
	}
	p := h.NestedMalloc(1000, 64)
	require.Zero(t, p%64)
	h.NestedFree(p, CallFree)
	after, classesAfter := counters(h)
	require.Equal(t, before, after)
	require.Equal(t, classes, classesAfter)
	check(t, h, 0)
}

func TestADoubleFreeDuringAForkEndsInOneReport(t *testing.T) {
	h := newHeap(t, reporting())
	p, q, big := h.Malloc(100), h.Malloc(100), h.Malloc(1<<20)
	keep := h.Malloc(100)
	h.ForkBegin(0)
	for _, a := range []uintptr{p, q, p} {
		h.Free(a, CallFree)
	}
	h.ForkParent()
	line := stderrOf(t, func() { check(t, h, h.Usable(keep)+h.Usable(big)) })
	require.Contains(t, line, "double free")
	h.ForkBegin(0)
	h.Free(big, CallFree)
	h.Free(big, CallFree)
	h.ForkParent()
	line = stderrOf(t, func() { check(t, h, h.Usable(keep)) })
	require.Contains(t, line, "double free or invalid pointer")
	seen := map[uintptr]bool{}
	for range 5000 {
		a := h.Malloc(100)
		require.False(t, seen[a])
		seen[a] = true
	}
}

func TestStatisticsWaitForAForkToEnd(t *testing.T) {
	coretest.Threads(t, 12)
	h := newHeap(t, Options{})
	h.Malloc(100)
	h.ForkBegin(0)
	got := make(chan Stats)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var s Stats
		h.Stats(&s)
		got <- s
	}()
	time.Sleep(5 * time.Millisecond)
	h.ForkParent()
	s := <-got
	require.NotZero(t, s.Mapped)
	require.Equal(t, s.Mapped, s.Accounted())

	h.ForkBegin(0) // one that does not end
	h.Stats(&s)
	require.Equal(t, Stats{}, s)
	require.Empty(t, textOf(h.Report))
	h.ForkParent()
}

// Threads use the heap while others fork: at each fork everything is at rest.
func TestForksUnderLoadFindTheHeapAtRest(t *testing.T) {
	coretest.Threads(t, 12)
	h := newHeap(t, Options{})
	d := newDifferential(t, h, 4)
	var forkers sync.WaitGroup
	for range 2 {
		forkers.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for !d.done.Load() {
				h.ForkBegin(0)
				if d.forks.Add(1)%8 == 0 {
					before, classes := counters(h)
					time.Sleep(100 * time.Microsecond)
					after, classesAfter := counters(h)
					if before != after || classes != classesAfter {
						t.Error("the heap was touched during a fork")
					}
				}
				h.ForkParent()
				time.Sleep(500 * time.Microsecond)
			}
		})
	}
	d.run(coretest.Long(12000))
	forkers.Wait()
	require.Positive(t, d.forks.Load())
	t.Logf("%d forks", d.forks.Load())
	d.finish()
}
