package heap

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/internal/faults"
)

// During a fork allocations come from the side region; the system refuses the memory for it. Requests fail, nothing
// is lost, and when the fork is over the heap serves again from what it has.
func TestAForkWithoutMemoryForTheSideRegionFailsCleanly(t *testing.T) {
	faults.OnDoomedThread(func() {
		h := newHeap(t, Options{})
		old, held := oneOfEach(t, h)
		if err := faults.Of(unix.SYS_MMAP, unix.ENOMEM).Install(); err != nil {
			t.Skipf("no system call filter: %v", err)
		}
		for range 3 {
			h.ForkBegin(0)
			require.Zero(t, h.Malloc(24))
			require.Zero(t, h.Malloc(300<<10))
			require.Zero(t, h.Aligned(100, 4096))
			require.Zero(t, h.NestedMalloc(100, 16))
			for _, o := range old[:len(old)/2] {
				require.Zero(t, h.Realloc(o.p, 2*o.size+20, CallRealloc))
				require.Equal(t, -1, intact(o.p, o.size, o.size, o.key))
			}
			last := old[len(old)-1]
			old = old[:len(old)-1]
			held -= h.Usable(last.p)
			h.Free(last.p, CallFree)
			h.ForkParent()

			p := h.Malloc(24)
			require.NotZero(t, p)
			h.Free(p, CallFree)
			check(t, h, held)
		}
		for _, o := range old {
			require.Equal(t, -1, intact(o.p, o.size, o.size, o.key))
			h.Free(o.p, CallFree)
		}
		check(t, h, 0)
		for _, size := range sizesOfInterest()[:len(sizesOfInterest())/2] {
			require.NotZero(t, h.Malloc(size), "what was freed serves again")
		}
	})
}
