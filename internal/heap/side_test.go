package heap

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

const sideTable = maxChunks * 8 // what the region maps before its first object

func TestSideObjectsAreAlignedAndApart(t *testing.T) {
	h := newHeap(t, Options{})
	s := &h.side
	require.Zero(t, s.bytes)
	var live []object2
	for align := units.Bytes(16); align <= 4<<20; align *= 2 {
		for _, size := range []units.Bytes{0, 1, 15, 16, 17, 100, 4096, 100000, 256 << 10, 1<<20 - 16, 1 << 20, 3<<20 + 1} {
			p := s.alloc(size, align)
			require.NotZero(t, p)
			require.Zero(t, p%align)
			require.True(t, s.contains(p))
			require.Equal(t, max(size, 1), s.usable(p))
			require.False(t, s.isObject(p+16))
			fill(p, size, uint64(len(live)))
			live = append(live, object2{p: p, size: size, key: uint64(len(live))})
		}
	}
	for _, o := range live {
		require.Equal(t, -1, intact(o.p, o.size, o.size, o.key))
		require.True(t, s.free(o.p))
		require.False(t, s.free(o.p), "a double free")
		require.Zero(t, s.usable(o.p))
	}
	require.LessOrEqual(t, s.bytes, int64(sideTable+chunkSize), "all but the current chunk is unmapped")
	require.False(t, s.contains(s.base-1))
	require.False(t, s.contains(s.base+maxChunks<<chunkShift))
	require.False(t, s.free(s.base+16))
	require.False(t, s.free(s.base+100<<chunkShift), "a chunk that is not mapped")
}

func TestAnEmptyChunkStartsOver(t *testing.T) {
	h := newHeap(t, Options{})
	first := h.side.alloc(1000, 16)
	require.True(t, h.side.free(first))
	for range 10000 {
		p := h.side.alloc(1000, 16)
		require.Equal(t, first, p)
		require.True(t, h.side.free(p))
	}
	require.EqualValues(t, sideTable+chunkSize, h.side.bytes)
}

func TestASealedChunkIsUnmappedWithItsLastObject(t *testing.T) {
	h := newHeap(t, Options{})
	s := &h.side
	a := s.alloc(200000, 16)
	var more []uintptr
	for (a-s.base)>>chunkShift == uintptr(s.current-1) {
		more = append(more, s.alloc(200000, 16))
	}
	require.EqualValues(t, sideTable+2*chunkSize, s.bytes)
	require.True(t, s.free(a))
	for _, p := range more[:len(more)-1] {
		require.EqualValues(t, sideTable+2*chunkSize, s.bytes)
		require.True(t, s.free(p))
	}
	require.EqualValues(t, sideTable+chunkSize, s.bytes)
	require.Zero(t, *s.state(0), "and its place is free")
	require.True(t, s.free(more[len(more)-1]))
}

func TestRunsTakeAsManyChunksAsTheyNeedAndGiveThemBack(t *testing.T) {
	h := newHeap(t, Options{})
	s := &h.side
	small := s.alloc(100, 16)
	base := s.bytes
	for _, size := range []units.Bytes{300 << 10, 1<<20 - 32, 1<<20 - 31, 5 << 20, 100 << 20} {
		p := s.alloc(size, 16)
		n := int64((size + 16 + sideHeader + chunkSize - 1) >> chunkShift)
		require.Equal(t, base+n<<chunkShift, s.bytes, "%d bytes", size)
		require.Equal(t, size, s.usable(p))
		sys.Store64(p+size&^7-8, 1)
		require.False(t, s.free(p+chunkSize))
		require.False(t, s.free(p+16))
		require.True(t, s.free(p))
		require.Equal(t, base, s.bytes)
	}
	// The region holds 16 GiB, one chunk of which is taken: what fails must leave nothing behind.
	whole := units.Bytes(maxChunks << chunkShift)
	require.Zero(t, s.alloc(whole, 16))
	require.Zero(t, s.alloc(whole-32, 16))
	require.Equal(t, base, s.bytes)
	p := s.alloc(whole-chunkSize-32, 16)
	require.NotZero(t, p)
	require.True(t, s.free(p))
	require.True(t, s.free(small))
	h2 := newHeap(t, Options{})
	p = h2.side.alloc(whole-32, 16)
	require.NotZero(t, p)
	require.Zero(t, h2.side.alloc(16, 16))
	require.True(t, h2.side.free(p))
	require.EqualValues(t, sideTable, h2.side.bytes)
	require.NotZero(t, h2.side.alloc(16, 16))
}

// A thread may look at a chunk it believes to be the current one long after that chunk has had another life.
func TestOnlyAnOwnedUnsealedChunkTakesObjects(t *testing.T) {
	h := newHeap(t, Options{})
	s := &h.side
	require.NotZero(t, s.alloc(16, 16))
	require.Zero(t, s.bump(5, 16, 16), "a chunk that nobody owns")
	require.Zero(t, *s.state(5))
	i := s.claim(3)
	require.EqualValues(t, 1, i)
	for j := range uintptr(3) {
		require.Zero(t, s.bump(i+j, 16, 16), "a part of a run")
	}
	s.seal(i)
	s.drop(i, 3)
	p := s.alloc(2<<20, 16)
	i = s.first(p)
	for j := range uintptr(3) {
		require.Zero(t, s.bump(i+j, 16, 16), "a part of a run")
		s.seal(i + j)
	}
	require.Equal(t, units.Bytes(2<<20), s.usable(p))
	require.True(t, s.free(p))
}

func TestSomebodyElsesMappingInTheRegionIsLeftAlone(t *testing.T) {
	h := newHeap(t, Options{})
	s := &h.side
	theirs := s.base + 2<<chunkShift
	got, e := sys.Mmap(theirs, 4096, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapFixedNoReplace)
	require.Zero(t, e)
	require.Equal(t, theirs, got)
	sys.Store64(theirs, 42)
	for range 6 {
		p := s.alloc(1<<20, 16) // two chunks each
		require.NotZero(t, p)
		fill(p, 1<<20, 1)
	}
	require.EqualValues(t, 42, sys.Load64(theirs))
}

func TestConcurrentSideObjectsKeepTheirContents(t *testing.T) {
	coretest.Threads(t, 12)
	h := newHeap(t, Options{})
	s := &h.side
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	shared := make([]atomic.Pointer[object2], 64)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := rand.New(rand.NewPCG(seed, uint64(g)))
			for i := range coretest.Long(4000) {
				size := units.Bytes(r.IntN(60000))
				if r.IntN(100) == 0 {
					size = units.Bytes(r.IntN(3 << 20))
				}
				o := &object2{p: s.alloc(size, 16<<r.IntN(6)), size: size, key: uint64(g*1000000 + i)}
				if o.p == 0 {
					t.Error("no memory")
					return
				}
				fill(o.p, size, o.key)
				if o = shared[r.IntN(len(shared))].Swap(o); o == nil { // free another one, of any thread
					continue
				}
				if at := intact(o.p, o.size, o.size, o.key); at >= 0 {
					t.Errorf("byte %d of %d changed", at, o.size)
				}
				if !s.free(o.p) {
					t.Errorf("%#x refused", o.p)
				}
			}
		})
	}
	wg.Wait()
	for i := range shared {
		if o := shared[i].Load(); o != nil {
			require.Equal(t, -1, intact(o.p, o.size, o.size, o.key))
			require.True(t, s.free(o.p))
		}
	}
	require.LessOrEqual(t, s.bytes, int64(sideTable+chunkSize))
	for i := range uintptr(maxChunks) {
		if i+1 != uintptr(s.current) {
			require.Zero(t, *s.state(i), "chunk %d", i)
		}
	}
}
