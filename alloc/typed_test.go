package alloc_test

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/alloc"
)

type plainType struct {
	A uint64
	B [3]float32
	C struct {
		D bool
		L alloc.OffHeapPtr[plainType]
		N atomic.Int64
	}
	E complex128
	F uintptr
}

type inner struct{ List [2]struct{ Name string } }
type outer struct {
	ID   int
	Deep inner
}

func TestTypesWithGoPointersAreRefusedByFieldPath(t *testing.T) {
	require.NoError(t, alloc.CheckType[plainType]())
	require.NoError(t, alloc.CheckType[[0]string]())
	for range 2 { // the second answer may come from what is remembered
		var e *alloc.PointerError
		_, err := alloc.New[outer]()
		require.ErrorAs(t, err, &e)
		require.Equal(t, ".Deep.List[].Name", e.Path)
		require.Contains(t, err.Error(), "outer.Deep.List[].Name is a string")
	}
	for name, err := range map[string]error{
		"string": alloc.CheckType[string](), "slice": alloc.CheckType[[]int](), "map": alloc.CheckType[map[int]int](),
		"any": alloc.CheckType[any](), "chan": alloc.CheckType[chan int](), "func": alloc.CheckType[func()](),
		"pointer": alloc.CheckType[*int](), "unsafe": alloc.CheckType[unsafe.Pointer](), "array": alloc.CheckType[[3]*int](),
		"blank": alloc.CheckType[struct{ _ *int }](),
	} {
		require.Error(t, err, name)
	}
	_, err := alloc.Make[*int](1, 1)
	require.Error(t, err)
	_, err = alloc.Append([]string(nil), "a")
	require.Error(t, err)
	_, err = alloc.Clone([]any{1})
	require.Error(t, err)
	a := alloc.NewArena(0)
	defer a.Free()
	_, err = alloc.NewIn[outer](a)
	require.Error(t, err)
}

func TestNewIsZeroedAndOffTheGoHeap(t *testing.T) {
	for range 100 {
		p, err := alloc.New[plainType]()
		require.NoError(t, err)
		require.Zero(t, [unsafe.Sizeof(*p)]byte(bytesOf(unsafe.Pointer(p), unsafe.Sizeof(*p))))
		require.True(t, alloc.Owns(unsafe.Pointer(p)))
		p.A, p.E, p.C.D = 1, 2, true
		p.C.L.Set(p)
		require.Same(t, p, p.C.L.Get())
		require.Equal(t, p.C.L, alloc.LinkTo(p))
		alloc.FreeOf(p)
	}
	var none *plainType
	alloc.FreeOf(none)
	var link alloc.OffHeapPtr[int]
	require.True(t, link.IsNil())
	if p := link.Get(); p != nil { // written out: the compiler knows sums of addresses not to be nil
		t.Error("a link to nowhere leads somewhere")
	}
	e, err := alloc.New[struct{}]()
	require.NoError(t, err)
	alloc.FreeOf(e)
}

func TestSlices(t *testing.T) {
	s, err := alloc.Make[int32](3, 10)
	require.NoError(t, err)
	require.Len(t, s, 3)
	require.GreaterOrEqual(t, cap(s), 10)
	for _, v := range s[:cap(s)] {
		require.Zero(t, v)
	}
	c, err := alloc.Clone([]int32{1, 2, 3})
	require.NoError(t, err)
	require.Equal(t, []int32{1, 2, 3}, c)
	alloc.FreeSlice(s)
	alloc.FreeSlice(c[:0])
	alloc.FreeSlice[int](nil)
	empty, err := alloc.Make[struct{}](5, 7)
	require.NoError(t, err)
	require.Len(t, empty, 5)
	alloc.FreeSlice(empty)
	for _, bad := range [][2]int{{-1, 0}, {2, 1}} {
		_, err = alloc.Make[int](bad[0], bad[1])
		require.Error(t, err)
	}
	_, err = alloc.Make[int64](0, 1<<60)
	require.ErrorIs(t, err, alloc.ErrOutOfMemory)
	b, err := alloc.AlignedSlice(100, 4096)
	require.NoError(t, err)
	require.Zero(t, uintptr(unsafe.Pointer(&b[0]))%4096)
	alloc.FreeSlice(b)
}

// Slices grown by Append are what append makes of Go's slices, for any sequence of operations.
func FuzzSlicesAgainstAppend(f *testing.F) {
	f.Add([]byte{1, 200, 3, 4, 255, 255, 0, 9})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var ours, model []uint32
		for i, op := range ops {
			switch op % 5 {
			case 0, 1:
				v := make([]uint32, int(op)*3)
				for j := range v {
					v[j] = uint32(i*1000 + j)
				}
				var err error
				ours, err = alloc.Append(ours, v...)
				require.NoError(t, err)
				model = append(model, v...)
			case 2:
				c, err := alloc.Clone(ours)
				require.NoError(t, err)
				alloc.FreeSlice(ours)
				ours = c
			case 3:
				n := len(model) * int(op) / 256
				ours, model = ours[:n], model[:n]
			case 4:
				var err error
				ours, err = alloc.Grow(ours, len(ours)+int(op))
				require.NoError(t, err)
			}
			require.True(t, slices.Equal(model, ours), "after operation %d", i)
		}
		alloc.FreeSlice(ours)
	})
}

func TestBatches(t *testing.T) {
	for _, n := range []uintptr{1, 64, 5000, 300 << 10} {
		out := make([]unsafe.Pointer, 100)
		got, err := alloc.MallocBatch(n, out)
		require.NoError(t, err)
		require.Equal(t, 100, got)
		seen := map[unsafe.Pointer]bool{}
		for i, p := range out {
			require.False(t, seen[p])
			seen[p] = true
			fill(p, n, byte(i))
		}
		for i, p := range out {
			require.True(t, holds(p, n, byte(i)))
		}
		out[3] = nil
		alloc.FreeBatch(out)
		require.Equal(t, make([]unsafe.Pointer, 100), out)
	}
	out := make([]unsafe.Pointer, 2)
	n, err := alloc.MallocBatch(1<<50, out)
	require.ErrorIs(t, err, alloc.ErrOutOfMemory)
	require.Zero(t, n)
}

func TestSizeClassesSayWhatUsableSizeWill(t *testing.T) {
	withoutDebug(t)
	classes := alloc.SizeClasses()
	require.EqualValues(t, 16, classes[0])
	require.Equal(t, alloc.MaxSmall, classes[len(classes)-1])
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		n := uintptr(r.Uint64N(1 << r.UintN(23)))
		p, err := alloc.Malloc(n)
		require.NoError(t, err)
		require.Equal(t, alloc.RoundSize(n), alloc.UsableSize(p))
		alloc.Free(p)
	}
}

func TestAlignedReallocKeepsContentsAndAlignment(t *testing.T) {
	for _, align := range []uintptr{16, 64, 4096, 8192, 2 << 20} {
		p, err := alloc.AlignedAlloc(100, align)
		require.NoError(t, err)
		n := uintptr(100)
		fill(p, n, 9)
		for _, to := range []uintptr{200, 3000, 70_000, 3 << 20, 5 << 20, 1000, 1} {
			p, err = alloc.AlignedRealloc(p, to, align)
			require.NoError(t, err)
			require.Zero(t, uintptr(p)%align)
			require.True(t, holds(p, min(n, to), 9), "align %d, from %d to %d", align, n, to)
			n = to
			fill(p, n, 9)
		}
		alloc.Free(p)
	}
	_, err := alloc.AlignedRealloc(nil, 10, 3)
	require.ErrorIs(t, err, alloc.ErrAlignment)
}

func TestAccountsCountWhatTheyHold(t *testing.T) {
	a := alloc.NewAccount("index")
	p, err := a.Malloc(100)
	require.NoError(t, err)
	b, err := a.MallocSlice(1000)
	require.NoError(t, err)
	z, err := a.MallocSlice(0)
	require.NoError(t, err)
	require.Equal(t, alloc.AccountStats{Requested: 1100, Usable: 112 + 1024 + 16, Objects: 3}, a.Stats())
	a.Free(p, 100)
	a.FreeSlice(b[:3])
	a.FreeSlice(z)
	a.FreeSlice(nil)
	require.Zero(t, a.Stats())
	require.Equal(t, "index", a.Name())

	pool := alloc.Buffers{Account: a}
	buf := pool.Get()
	require.Len(t, buf, 32<<10)
	require.EqualValues(t, 1, a.Stats().Objects)
	pool.Put(buf[:5])
	pool.Put(make([]byte, 10)) // the collector's
	require.Zero(t, a.Stats())
}
