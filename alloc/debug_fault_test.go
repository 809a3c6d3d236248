package alloc_test

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/alloc"
)

//go:noinline
func makesArena(t *testing.T) (*alloc.Arena, []byte) {
	a := alloc.NewArena(0)
	b, err := alloc.MakeIn[byte](a, 32<<10, 32<<10)
	require.NoError(t, err)
	return a, b
}

//go:noinline
func freesArena(a *alloc.Arena) { a.Free() }

//go:noinline
func touches(p *byte) byte { return *p }

// caught is what f panics with under CatchFaults.
func caught(f func()) (v any) {
	defer func() { v = recover() }()
	defer alloc.CatchFaults()()
	f()
	return nil
}

func TestDebugFaults(t *testing.T) {
	onlyThere(t)
	old := debug.SetPanicOnFault(false)
	defer debug.SetPanicOnFault(old)
	got := collect(t, alloc.DebugOptions{Quarantine: 1 << 20})
	one := func(v any, kind, detail string, at *byte) *alloc.Fault {
		t.Helper()
		f, ok := v.(*alloc.Fault)
		require.True(t, ok, "%T %v", v, v)
		require.Equal(t, kind, f.Report.Kind)
		require.Contains(t, f.Report.Detail, detail)
		require.Equal(t, uintptr(unsafe.Pointer(at)), f.Addr())
		require.Contains(t, f.Report.Allocated.String(), "alloc_test.makesArena\n")
		require.True(t, strings.HasPrefix(f.Report.Now.String(), "    github.com/vcmalloc/vcmalloc/alloc_test.touches\n"), "%s", f)
		require.Equal(t, []alloc.Report{f.Report}, *got)
		*got = nil
		require.False(t, debug.SetPanicOnFault(false), "as it was before")
		return f
	}

	a, b := makesArena(t)
	require.Nil(t, caught(func() { touches(&b[9]) }))
	guard := (*byte)(unsafe.Add(unsafe.Pointer(&b[0]), len(b)+3))
	f := one(caught(func() { touches(guard) }), "overflow", "3 bytes behind a chunk", guard)
	require.Empty(t, f.Report.Freed)
	require.Contains(t, alloc.Describe(uintptr(unsafe.Pointer(guard))), "vcmalloc: arena: ")
	require.Contains(t, alloc.Describe(uintptr(unsafe.Pointer(&b[9]))), "vcmalloc: arena: ")
	freesArena(a)
	one(caught(func() { touches(guard) }), "use after free", "3 bytes behind a chunk", guard)
	f = one(caught(func() { touches(&b[9]) }), "use after free", "in a chunk", &b[9])
	for _, part := range []string{"vcmalloc: use after free: ", "found at\n", "alloc_test.touches\n", "allocated at\n",
		"alloc_test.makesArena\n", "freed at\n", "alloc_test.freesArena\n"} {
		require.Contains(t, f.Error(), part)
	}

	// Whoever asks what the runtime's error was finds it.
	cause, ok := errors.Unwrap(f).(interface {
		runtime.Error
		Addr() uintptr
	})
	require.True(t, ok)
	require.Equal(t, f.Addr(), cause.Addr())

	// The innermost explains, those around it pass that on.
	var inner any
	outer := caught(func() {
		inner = caught(func() { touches(&b[1]) })
		require.True(t, debug.SetPanicOnFault(true), "the outer one's")
		panic(inner)
	})
	require.Same(t, inner, outer)
	one(outer, "use after free", "in a chunk", &b[1])
	outer = caught(func() {
		defer alloc.CatchFaults()()
		touches(&b[2])
	})
	one(outer, "use after free", "in a chunk", &b[2])
}

// What is not a fault in memory of the heap's is not touched on its way.
func TestDebugFaultsOfOthers(t *testing.T) {
	onlyThere(t)
	got := collect(t, alloc.DebugOptions{})
	var seen any
	through := func(f func()) any {
		seen = nil
		return caught(func() {
			defer func() {
				seen = recover()
				panic(seen)
			}()
			f()
		})
	}
	page, err := syscall.Mmap(-1, 0, os.Getpagesize(), syscall.PROT_NONE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	require.NoError(t, err)
	foreign := through(func() { touches(&page[7]) })
	require.Equal(t, seen, foreign)
	e, ok := foreign.(interface {
		runtime.Error
		Addr() uintptr
	})
	require.True(t, ok, "%T", foreign)
	require.Equal(t, uintptr(unsafe.Pointer(&page[7])), e.Addr())
	require.NotContains(t, e.Error(), "vcmalloc")

	none := through(func() { touches(nil) })
	require.Equal(t, seen, none)
	require.ErrorContains(t, none.(runtime.Error), "nil pointer")
	mine := errors.New("mine")
	require.Same(t, mine, through(func() { panic(mine) }))
	require.Nil(t, caught(func() {}))

	old := debug.SetPanicOnFault(true) // on already: it stays on
	require.Nil(t, caught(func() {}))
	require.True(t, debug.SetPanicOnFault(old))

	ended := make(chan bool, 2)
	go func() {
		defer func() { ended <- recover() == nil }()
		defer alloc.CatchFaults()()
		runtime.Goexit()
	}()
	require.True(t, <-ended)
	require.Empty(t, *got)
}

// Where nobody recovers, the process's last words have the report and the stack that faulted.
func TestDebugFaultEndsTheProcess(t *testing.T) {
	onlyThere(t)
	require.NoError(t, alloc.EnableDebug(alloc.DebugOptions{}))
	defer alloc.CatchFaults()()
	a, b := makesArena(t)
	freesArena(a)
	touches(&b[9])
}

func TestCatchFaultsDoesNothingWithoutDebugMode(t *testing.T) {
	withoutDebug(t)
	old := debug.SetPanicOnFault(false)
	defer debug.SetPanicOnFault(old)
	mine := errors.New("mine")
	require.Same(t, mine, caught(func() {
		require.False(t, debug.SetPanicOnFault(false))
		panic(mine)
	}))
}
