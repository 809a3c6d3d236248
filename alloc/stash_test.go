package alloc

import (
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// A stash is a stack of which the youngest object of a size is taken, within its limit in bytes; only what was not wanted
// since the last look gives way.
func TestStashAgreesWithAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := &stash{limit: stashFirst}
	var model []uintptr
	var low int
	bytesIn := func(entries []uintptr) (n uintptr) {
		for _, w := range entries {
			n += w % units.PageSize * units.PageSize
		}
		return n
	}
	for i := range 50_000 {
		pages := []uintptr{4, 5, 33, 100, 255, 256, 257}[r.IntN(7)]
		switch k := r.IntN(100); {
		case k < 48:
			p := uintptr(i+1) << units.PageShift
			var room [8]uintptr
			out := room[:0]
			ok := s.push(p, pages, &out)
			require.LessOrEqual(t, len(out), low)
			require.True(t, slices.Equal(model[:len(out)], out), "the oldest leave")
			model, low = model[len(out):], low-len(out)
			if ok {
				model = append(model, p|pages)
			} else {
				require.True(t, bytesIn(model)+pages<<units.PageShift > s.limit || len(model) == stashEntries)
				require.NotZero(t, s.spilled)
			}
		case k < 98:
			got, want := s.pop(pages), uintptr(0)
			for i := len(model) - 1; i >= max(0, len(model)-stashSearch); i-- {
				if model[i]%units.PageSize == pages {
					want = model[i] - pages
					model = slices.Delete(model, i, i+1)
					low = min(low, i)
					break
				}
			}
			require.Equal(t, want, got)
			if want != 0 {
				require.False(t, s.holds(want))
			}
		case k < 99:
			left := s.cut(s.low, nil)
			require.True(t, slices.Equal(model[:low], left))
			model = model[low:]
			s.low, low = s.top, len(model)
		default:
			s.limit = uintptr(r.IntN(32<<20) &^ (units.PageSize - 1))
		}
		require.EqualValues(t, low, s.low)
		require.True(t, slices.Equal(model, s.entries[:s.top]))
		require.Equal(t, bytesIn(model), s.bytes)
		require.True(t, len(model) == 0 || s.holds(model[0]&^(units.PageSize-1)))
	}
}

// here is the P's own stash, for tests that run alone.
func here() *stash {
	v := procPin()
	s := stashAt(stashes.table + uintptr(v)<<stashShift)
	procUnpin()
	return s
}

func alone(t *testing.T) {
	if os.Getenv("VCMTEST_CASE") != t.Name() {
		t.Skip("run by TestStashes")
	}
	require.NoError(t, start())
	if stashes.table == 0 {
		t.Skip("no membarrier here")
	}
	runtime.GOMAXPROCS(1)
}

// batch allocates n objects and frees them in the same order.
func batch(t *testing.T, n int, size uintptr) {
	objects := make([]unsafe.Pointer, n)
	for i := range objects {
		p, err := Malloc(size)
		require.NoError(t, err)
		objects[i] = p
	}
	for _, p := range objects {
		Free(p)
	}
}

// stashed is how many bytes, in how many objects, the heap is told of.
func stashed() (bytes uintptr, objects uint64) {
	countStashes()
	stashes.count.Lock()
	defer stashes.count.Unlock()
	bytes, objects = stashes.aside.Large, stashes.aside.LargeObjects
	for c, n := range stashes.aside.Objects {
		bytes, objects = bytes+uintptr(n)*sizeclass.Size(units.ClassID(c)), objects+uint64(n)
	}
	return bytes, objects
}

// What is wanted again at once is kept, as much as there is of it; what only comes is not, and what lies there goes back.
func TestStashGrowsOnProofAndGivesBack(t *testing.T) {
	alone(t)
	batch(t, 64, 1<<20)
	require.LessOrEqual(t, here().limit, uintptr(stashFirst), "nothing was wanted again")
	for range 8 {
		batch(t, 64, 1<<20)
	}
	bytes, objects := stashed()
	require.Greater(t, bytes, uintptr(48<<20))
	require.EqualValues(t, bytes>>20, objects)
	before := ReadStats()
	batch(t, 40, 1<<20)
	after := ReadStats()
	require.Equal(t, before.Misses, after.Misses)
	require.Equal(t, before.Mapped, after.Mapped)
	require.GreaterOrEqual(t, after.Cached, bytes)
	require.Less(t, after.Usable, uintptr(8<<20))

	trimStashes() // the first look learns what has been there all along
	batch(t, 10, 1<<20)
	trimStashes()
	bytes, _ = stashed()
	require.InDelta(t, 10<<20, float64(bytes), 1<<20, "what ten objects at a time do not touch has gone back")
	batch(t, 3, 5<<20)
	batch(t, 3, 5<<20)
	batch(t, 3, 5<<20)
	require.NotZero(t, here().pop(5<<20>>units.PageShift), "what was not wanted made room") // and is leaked

	dropStashes(true)
	bytes, _ = stashed()
	require.Zero(t, bytes)
	require.Zero(t, stashes.extra.Load())
	batch(t, 3, 1<<20)
	bytes, _ = stashed()
	require.Zero(t, bytes, "nobody looks after it")
	openStashes()
	batch(t, 3, 1<<20)
	bytes, _ = stashed()
	require.NotZero(t, bytes)
}

// Objects of size classes that do not fit the slab are stashed; the memory limit bounds all; freeing one twice is noticed.
func TestStashedClassesAndLimits(t *testing.T) {
	alone(t)
	for range 10 {
		batch(t, 64, 256<<10)
		batch(t, 64, 32<<10)
	}
	bytes, _ := stashed()
	require.Greater(t, bytes, uintptr(12<<20))
	require.NoError(t, SetMemoryLimit(256<<20, 0))
	require.Zero(t, stashes.extra.Load())
	for range 10 {
		batch(t, 64, 1<<20)
	}
	bytes, _ = stashed()
	require.NotZero(t, bytes)
	require.LessOrEqual(t, bytes, uintptr(stashFirst+256<<20/limitShare))
	limitStashes(true)
	bytes, _ = stashed()
	require.Zero(t, bytes)
	require.NoError(t, SetMemoryLimit(0, 0))
	// The background goroutine gives back by itself. It sleeps a second at a time, whatever it would wait for.
	limitStashes(false)
	batch(t, 3, 1<<20)
	require.Eventually(t, func() bool { b, _ := stashed(); return b == 0 }, 20*time.Second, 100*time.Millisecond)
}

func TestSecondFreeOfAStashedObjectOfASizeClass(t *testing.T) {
	alone(t)
	for range 10 {
		batch(t, 64, 256<<10)
	}
	objects := make([]unsafe.Pointer, 64)
	for i := range objects {
		objects[i], _ = Malloc(256 << 10)
	}
	for _, p := range objects {
		Free(p)
	}
	Free(objects[63])
}

// Goroutines allocate and free whole pages while stashes are looked at, emptied, closed and opened, and Ps come and go: every
// object has one owner, and at the end nothing is missing.
func TestStashesUnderStress(t *testing.T) {
	require.NoError(t, start())
	procs := runtime.GOMAXPROCS(0)
	before := ReadStats()
	var workers, helpers sync.WaitGroup
	var done atomic.Bool
	hand := make(chan []byte, 100)
	end := time.Now().Add(3 * time.Second)
	if v, err := time.ParseDuration(os.Getenv("VCMTEST_STRESS")); err == nil {
		end = time.Now().Add(v)
	}
	for g := range 8 {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			var mine [][]byte
			for time.Now().Before(end) && !t.Failed() {
				for range r.IntN(12) {
					n := []int{32 << 10, 100 << 10, 256 << 10, 300 << 10, 1 << 20, 5 << 20}[r.IntN(6)]
					b, err := MallocSlice(n)
					if err != nil {
						t.Error(err)
						return
					}
					b[0], b[n/2], b[n-1] = byte(g), byte(g), byte(g)
					mine = append(mine, b)
				}
				for _, b := range mine {
					select {
					case hand <- b:
						b = <-hand
					default:
					}
					if n := len(b); b[0] != b[n/2] || b[0] != b[n-1] || b[0] >= 8 {
						t.Error("an object has two owners")
					}
					FreeSlice(b)
				}
				mine = mine[:0]
			}
		})
	}
	for _, f := range []func(){
		trimStashes,
		func() { dropStashes(false) },
		func() { dropStashes(true); openStashes() },
		func() { runtime.GOMAXPROCS(1 + rand.IntN(8)); time.Sleep(5 * time.Millisecond) },
		runtime.GC,
	} {
		helpers.Go(func() {
			for !done.Load() {
				f()
				time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			}
		})
	}
	workers.Wait()
	done.Store(true)
	helpers.Wait()
	runtime.GOMAXPROCS(procs)
	close(hand)
	for b := range hand {
		FreeSlice(b)
	}
	s := ReadStats()
	require.Equal(t, before.Usable, s.Usable)
	require.Equal(t, before.Objects, s.Objects)
	ReleaseOSMemory()
	s = ReadStats()
	require.Equal(t, before.Usable, s.Usable)
	require.Zero(t, stashes.extra.Load())
}
