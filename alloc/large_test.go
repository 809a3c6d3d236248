package alloc_test

import (
	"os"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/alloc"
)

// withoutDebug skips a test of what debug mode has no use for: caches, hints, sizes rounded up.
func withoutDebug(t *testing.T) {
	t.Helper()
	alloc.ReadStats() // the first call turns debug mode on where the tag vcmdebug asks for it
	if alloc.DebugEnabled() {
		t.Skip("debug mode is on")
	}
}

func TestLargeObjectsKeptAtHandAreNobodysAndGoBack(t *testing.T) {
	withoutDebug(t)
	alloc.ReleaseOSMemory()
	before := alloc.ReadStats()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				n := uintptr(300<<10) + uintptr(i%5)*(400<<10)
				var held [3]unsafe.Pointer
				for k := range held {
					p, err := alloc.Malloc(n)
					if err != nil {
						t.Error(err)
						return
					}
					bytesOf(p, n)[0], bytesOf(p, n)[n-1] = byte(g), byte(k)
					held[k] = p
				}
				for k, p := range held {
					if bytesOf(p, n)[0] != byte(g) || bytesOf(p, n)[n-1] != byte(k) {
						t.Error("an object has two owners")
					}
					alloc.Free(p)
				}
			}
		})
	}
	wg.Wait()
	s := alloc.ReadStats()
	require.Equal(t, before.Usable, s.Usable)
	require.Equal(t, before.Objects, s.Objects)
	require.Equal(t, s.Mapped, s.Usable+s.Slack+s.Cached+s.Free+s.Released)
	z, err := alloc.Zeroed(1 << 20)
	require.NoError(t, err)
	fill(z, 1<<20, 1)
	alloc.Free(z)
	z, err = alloc.Zeroed(1 << 20) // most likely the same
	require.NoError(t, err)
	require.True(t, [1 << 20]byte(bytesOf(z, 1<<20)) == [1 << 20]byte{})
	alloc.Free(z)
	alloc.ReleaseOSMemory()
	require.Equal(t, before.Cached, alloc.ReadStats().Cached)
}

func TestASecondFreeOfALargeObjectAborts(t *testing.T) {
	withoutDebug(t)
	if os.Getenv("VCMTEST_CASE") != t.Name() {
		out := inProcess(t, t.Name())
		require.Contains(t, out, "double free or invalid pointer")
		require.Contains(t, out, "SIGABRT")
		return
	}
	p, err := alloc.Malloc(1 << 20)
	require.NoError(t, err)
	alloc.Free(p)
	alloc.Free(p)
}

// The tests of stashes run each in a process of its own: they look at what one P keeps, and drain the rest.
func TestStashes(t *testing.T) {
	if testing.Short() {
		t.Skip("processes of their own")
	}
	withoutDebug(t)
	for _, name := range []string{"TestStashGrowsOnProofAndGivesBack", "TestStashedClassesAndLimits"} {
		require.Contains(t, inProcess(t, name), "--- PASS: "+name)
	}
	out := inProcess(t, "TestSecondFreeOfAStashedObjectOfASizeClass")
	require.Contains(t, out, "double free")
	require.Contains(t, out, "SIGABRT")
}
