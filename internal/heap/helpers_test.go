package heap

import (
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/percpu"
)

// newHeap is a heap of the test's own, which is unmapped at its end.
func newHeap(t testing.TB, o Options) *Heap {
	t.Helper()
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	if o.PerCPU.VCPUs == 0 {
		o.PerCPU.VCPUs = 4
	}
	h := new(Heap)
	require.True(t, h.Init(&o), "no window")
	t.Cleanup(h.pages().Unmap)
	return h
}

// reporting are options of a heap that survives misuse.
func reporting() Options { return Options{Config: config.Config{Check: config.CheckReport}} }

// stderrOf is what f writes to file descriptor 2.
func stderrOf(t testing.TB, f func()) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	require.NoError(t, err)
	saved, err := syscall.Dup(2)
	require.NoError(t, err)
	require.NoError(t, syscall.Dup3(int(file.Fd()), 2, 0))
	f()
	require.NoError(t, syscall.Dup3(saved, 2, 0))
	require.NoError(t, syscall.Close(saved))
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return string(text)
}

// check holds the accounting identity, and the bytes in the application's hands against those of the objects
// the test holds. Nobody may use the heap meanwhile.
func check(t testing.TB, h *Heap, held units.Bytes) {
	t.Helper()
	if defect := defectOf(h, held); defect != "" {
		t.Fatal(defect)
	}
}

// checkVCPUs holds each vCPU's budget against its parts, as far as their counters tell.
func checkVCPUs(t testing.TB, h *Heap) {
	t.Helper()
	for v := units.VCPU(0); v < h.Front.VCPUs(); v++ {
		var st percpu.Stats
		h.Front.Stats(v, &st)
		require.LessOrEqual(t, st.Available+st.Used, st.Capacity)
	}
}

func bytesAt(p uintptr, n units.Bytes) []byte { return unsafe.Slice((*byte)(sys.At(p)), n) }

// stride is how far apart the bytes are that large objects are filled at: a first touch can cost 12 us a page.
const stride = 64 << 10

// fill writes a pattern to the n bytes at p, sparse in the middle of large ones.
func fill(p uintptr, n units.Bytes, key uint64) {
	b := bytesAt(p, n)
	for i := 0; i < len(b); i++ {
		if i >= 256 && i < len(b)-256 && i%stride != 0 {
			i = min((i+stride-1)/stride*stride, len(b)-256)
		}
		b[i] = pattern(i, key)
	}
}

func pattern(i int, key uint64) byte {
	return byte((uint64(i)*0x9e3779b97f4a7c15 ^ key*0xbf58476d1ce4e5b9) >> 56)
}

// intact is the offset of the first byte of the first n at p that differs from the pattern of an object of
// size bytes, or -1.
func intact(p uintptr, n, size units.Bytes, key uint64) int {
	b := bytesAt(p, n)
	for i := 0; i < len(b); i++ {
		if b[i] != pattern(i, key) {
			return i
		}
		if i >= 255 && i+1 < int(size)-256 {
			i = min((i+1+stride-1)/stride*stride, int(size)-256) - 1
		}
	}
	return -1
}
