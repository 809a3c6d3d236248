package heap

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

var global = [4]uint64{1} // in a part of the program that is mapped from its file

func found(h *Heap, p uintptr) (o object) {
	h.find(p, &o)
	return o
}

func TestPointersAreClassified(t *testing.T) {
	h := newHeap(t, Options{})
	local := 0
	for _, p := range []uintptr{1, uintptr(unsafe.Pointer(&global)), uintptr(unsafe.Pointer(&local)), h.pages().Space().Base() - 8, ^uintptr(0)} {
		require.Equal(t, foreign, found(h, p).kind, "%#x", p)
	}
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		p := h.AllocClass(c)
		size := sizeclass.Size(c)
		o := found(h, p)
		require.Equal(t, object{kind: small, class: c, span: o.span, size: size}, o)
		for _, off := range []uintptr{1, size / 2, size - 1} {
			i := found(h, p+off)
			require.Equal(t, object{kind: interior, class: c, span: o.span, size: size, start: p}, i, "class %d, %d bytes in", c, off)
			require.Zero(t, h.Usable(p+off))
		}
		span := h.pages().Span(o.span)
		end := h.pages().Addr(o.span) + uintptr(span.Pages)<<units.PageShift
		if tail := h.pages().Addr(o.span) + uintptr(sizeclass.Objects(c))*size; tail < end {
			require.Equal(t, unused, found(h, tail).kind, "the tail of a span of class %d", c)
			require.Equal(t, unused, found(h, end-1).kind)
		}
	}
	for _, size := range []units.Bytes{300 << 10, 2 << 20, 5<<20 + 1} {
		p := h.Malloc(size)
		o := found(h, p)
		require.Equal(t, large, o.kind)
		require.Equal(t, h.Usable(p), o.size)
		for _, off := range []uintptr{1, 16, units.PageSize, o.size / 2, o.size - 1} {
			i := found(h, p+off)
			require.Equal(t, object{kind: interior, span: o.span, size: o.size, start: p}, i, "%d bytes into %d", off, size)
		}
		h.Free(p, CallFree)
		require.Equal(t, unused, found(h, p).kind)
		require.Equal(t, unused, found(h, p+units.PageSize).kind)
	}
}

// misuses are calls with a bad pointer and what the line must say of it.
func TestMisuseIsReportedInOneLineAndLeavesTheHeapIntact(t *testing.T) {
	h := newHeap(t, reporting())
	keep, big := h.Malloc(100), h.Malloc(5<<20)
	fill(keep, 100, 1)
	fill(big, 5<<20, 2)
	gone := h.Malloc(400 << 10)
	h.Free(gone, CallFree)
	twice := h.Malloc(200)
	h.Free(twice, CallFree)
	written := h.Malloc(200)
	h.Free(written, CallFree)
	sys.Store64(written, 5) // by the program: the mark of a freed object is gone
	held := h.Usable(keep) + h.Usable(big)
	side := h.NestedMalloc(100, 16)
	sideGone := h.NestedMalloc(100, 16)
	h.Free(sideGone, CallFree)
	static := uintptr(unsafe.Pointer(&global))

	for _, c := range []struct {
		p    uintptr
		want string
	}{
		{twice, "double free: the object of 208 bytes there is free already"},
		{written, "double free: the object of 208 bytes there is free already"},
		{keep + 16, fmt.Sprintf("interior pointer: 16 bytes into the object of 112 bytes at %#x;", keep)},
		{keep + 1, fmt.Sprintf("interior pointer: 1 bytes into the object of 112 bytes at %#x;", keep)},
		{big + 4096, fmt.Sprintf("interior pointer: 4096 bytes into the object of 5242880 bytes at %#x;", big)},
		{big + 3<<20, fmt.Sprintf("interior pointer: 3145728 bytes into the object of 5242880 bytes at %#x;", big)},
		{gone, "double free or invalid pointer: nothing is allocated there"},
		{static, "foreign pointer: not from this allocator (it lies in /"},
		{8, "foreign pointer: not from this allocator (nothing is mapped there); free it"},
		{side + 16, "double free or invalid pointer"},
		{sideGone, "double free or invalid pointer"},
	} {
		for call, name := range map[Call]string{CallFree: "free", CallRealloc: "realloc", CallDeleteArray: "operator delete[]",
			CallFreeSized: "free_sized", CallSdallocx: "sdallocx", CallReallocarray: "reallocarray", CallDelete: "operator delete",
			CallFreeAlignedSized: "free_aligned_sized", CallCfree: "cfree"} {
			line := stderrOf(t, func() {
				switch call {
				case CallRealloc, CallReallocarray:
					require.Zero(t, h.Realloc(c.p, 500, call))
				case CallFreeSized, CallFreeAlignedSized, CallSdallocx:
					h.FreeSized(c.p, 200, 0, false, call)
				default:
					h.Free(c.p, call)
				}
			})
			require.True(t, strings.HasPrefix(line, fmt.Sprintf("vcmalloc: %s(%#x): %s", name, c.p, c.want)), "%s\nwanted: %s", line, c.want)
			require.Equal(t, 1, strings.Count(line, "\n"), line)
		}
	}
	require.Equal(t, -1, intact(keep, 100, 100, 1))
	require.Equal(t, -1, intact(big, 5<<20, 5<<20, 2))
	check(t, h, held)
	require.EqualValues(t, 100, h.Usable(side))
	for range 1000 { // twice is in one list only
		require.NotEqual(t, h.Malloc(200), h.Malloc(200))
	}
}

func TestADoubleFreeOfEverySizeIsFoundInEveryTier(t *testing.T) {
	h := newHeap(t, reporting())
	for c := units.ClassID(2); c < sizeclass.NumClasses; c++ {
		p, other := h.AllocClass(c), h.AllocClass(c)
		expect := func(where string) {
			t.Helper()
			line := stderrOf(t, func() { h.Free(p, CallFree) })
			want := "double free: the object of"
			if h.pages().SpanAt(p) == 0 { // its span went back to the page heap, as large classes' do first
				want = "double free or invalid pointer: nothing is allocated there"
			}
			require.Contains(t, line, want, "class %d, %s", c, where)
		}
		h.Free(p, CallFree)
		expect("per CPU")
		h.Front.DrainAll()
		expect("in the transfer cache")
		h.Front.Transfer.Drain()
		require.True(t, h.pages().SpanAt(p) == 0 || h.pages().SpanAt(p) == h.pages().SpanAt(other))
		expect("in its span")
		h.Free(other, CallFree)
	}
	check(t, h, 0)
}

func TestAnObjectThatHoldsAMarkByChanceIsFreedAsAnyOther(t *testing.T) {
	h := newHeap(t, Options{}) // which aborts on misuse
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		p := h.AllocClass(c)
		h.mark(p)
		require.True(t, h.isMarked(p))
		h.Free(p, CallFree)

		p = h.AllocClass(c)
		require.False(t, h.isMarked(p), "a new object bears no mark")
		h.mark(p)
		p = h.Realloc(p, sizeclass.Size(c)+1, CallRealloc)
		require.NotZero(t, p)
		h.FreeSized(p, sizeclass.Size(c)+1, 0, false, CallFreeSized)
	}
	check(t, h, 0)
}

func TestABadPointerThatWasCachedIsToldOfLater(t *testing.T) {
	h := newHeap(t, reporting())
	c := sizeclass.ForMalloc(1000)
	p := h.AllocClass(c)
	// The fast path would have stopped this one; a handler's free is not searched for.
	line := stderrOf(t, func() {
		h.FreeChecked(p, c)
		h.FreeChecked(p, c)
		h.Front.DrainAll()
		h.Front.Transfer.Drain()
		for range 3000 { // overflows reach the central free list
			h.FreeChecked(p+8, c)
		}
	})
	require.Contains(t, line, "double free or invalid pointer: found when a cache was emptied")
}

func TestMisuseAbortsUnlessToldToGoOn(t *testing.T) {
	if os.Getenv("VCMALLOC_TEST_ABORT") == "1" {
		h := newHeap(t, Options{})
		p := h.Malloc(64)
		h.Free(p+8, CallFree)
		os.Exit(0)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestMisuseAbortsUnlessToldToGoOn$")
	cmd.Env = append(os.Environ(), "VCMALLOC_TEST_ABORT=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "vcmalloc: free(0x")
	require.Contains(t, string(out), "interior pointer: 8 bytes into the object of 64 bytes at 0x")
}

func TestMapsLinesAreRead(t *testing.T) {
	const maps = "5566f0000000-5566f0001000 r--p 00000000 08:01 131       /usr/bin/with space-and-dash\n" +
		"7f0000000000-7f0000002000 rw-p 00000000 00:00 0 \n" +
		"7f00aabbc000-7f00aabbd000 rw-p 00000000 00:00 0                          [anon:vcmalloc heap]\n"
	for _, c := range []struct {
		p    uintptr
		hit  bool
		name string
	}{
		{0x5566f0000000, true, "/usr/bin/with space-and-dash"}, {0x5566f0000fff, true, "/usr/bin/with space-and-dash"},
		{0x5566f0001000, false, ""}, {0x7f0000001fff, true, ""}, {0x7f00aabbc123, true, "[anon:vcmalloc heap]"}, {5, false, ""},
	} {
		var m mapsLine
		for _, b := range []byte(maps) {
			if m.feed(b, c.p) {
				break
			}
		}
		require.Equal(t, c.hit, m.hit, "%#x", c.p)
		require.Equal(t, c.name, string(m.name[:m.n]))
	}
	var m mapsLine
	for _, b := range []byte("1000-2000 r--p 0 0:0 1 /" + strings.Repeat("x", 500) + "\n") {
		m.feed(b, 0x1800)
	}
	require.True(t, m.hit)
	require.Equal(t, len(m.name), m.n)
}

func TestWordsOfFreedObjectsMark(t *testing.T) {
	h := newHeap(t, Options{})
	p := h.Malloc(64)
	sys.Store64(p, 5)
	h.Free(p, CallFree)
	require.True(t, h.isMarked(p))
}
