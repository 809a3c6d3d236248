package alloc_test

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/alloc"
)

// Whatever the size of objects, what is resident stays within 2 % of the hard limit, requests beyond it are errors,
// and once it is lifted they are met again.
func TestHardLimitIsHonoured(t *testing.T) {
	for _, size := range []uintptr{100, 64 << 10, 1 << 20, 5 << 20} {
		alloc.ReleaseOSMemory()
		hard := alloc.ReadStats().Resident + 64<<20
		require.NoError(t, alloc.SetMemoryLimit(0, hard))
		var objects []unsafe.Pointer
		var err error
		for {
			var p unsafe.Pointer
			if p, err = alloc.Malloc(size); err != nil {
				break
			}
			objects = append(objects, p)
			if uintptr(len(objects))*size > hard {
				break
			}
		}
		s := alloc.ReadStats()
		require.ErrorIs(t, err, alloc.ErrOutOfMemory, "objects of %d bytes", size)
		require.LessOrEqual(t, s.Resident, hard+hard/50, "objects of %d bytes", size)
		require.Greater(t, uintptr(len(objects))*size, uintptr(48<<20), "objects of %d bytes", size)
		require.NoError(t, alloc.SetMemoryLimit(0, 0))
		p, err := alloc.Malloc(size)
		require.NoError(t, err)
		alloc.Free(p)
		alloc.FreeBatch(objects)
	}
}

// Above the soft limit what is freed goes back at once, without anybody asking.
func TestSoftLimitGivesBackWhatIsFree(t *testing.T) {
	alloc.ReleaseOSMemory()
	soft := alloc.ReadStats().Resident + 16<<20
	require.NoError(t, alloc.SetMemoryLimit(soft, 0))
	defer func() { require.NoError(t, alloc.SetMemoryLimit(0, 0)) }()
	for range 20 {
		var objects []unsafe.Pointer
		for range 32 {
			p, err := alloc.Malloc(4 << 20)
			require.NoError(t, err, "a soft limit refuses nothing")
			objects = append(objects, p)
		}
		alloc.FreeBatch(objects)
	}
	p, err := alloc.Malloc(4 << 20) // the page heap looks at its limit when it hands pages out
	require.NoError(t, err)
	require.LessOrEqual(t, alloc.ReadStats().Resident, soft+soft/50)
	alloc.Free(p)
}

func TestBadLimitsAreErrors(t *testing.T) {
	require.Error(t, alloc.SetMemoryLimit(1<<20, 0))
	require.Error(t, alloc.SetMemoryLimit(0, 1<<20))
	require.Error(t, alloc.SetMemoryLimit(64<<20, 32<<20))
}
