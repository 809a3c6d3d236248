package heap

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// group is a tree with one control group of 1 GiB that holds used MiB and stalls for the given time.
func group(t *testing.T, dir, used, stall string) {
	for name, text := range map[string]string{
		"proc/self/cgroup":            "0::/g\n",
		"sys/fs/cgroup/g/memory.max":  "1073741824\n",
		"sys/fs/cgroup/g/memory.stat": "anon " + used + "\n",
		"proc/pressure/memory":        "some avg10=" + stall + " avg60=0.00\n",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// resident is what the heap may have memory behind.
func resident(h *Heap) units.Bytes {
	var s Stats
	h.Stats(&s)
	return s.Mapped - s.Unbacked - s.FillerReleased
}

func TestMemoryGoesBackAtOnceWhenTheControlGroupIsFull(t *testing.T) {
	for _, c := range []struct {
		name, used, stall string
		aware             bool
		most              units.Bytes // of 128 MiB freed
	}{
		{"room", "107374182", "0.00", true, 128 << 20},
		{"nine tenths", "970000000", "0.00", true, 4 << 20},
		{"full", "1070000000", "0.00", true, 4 << 20},
		{"stalls", "1", "12.00", true, 4 << 20},
		{"full and not looked at", "1070000000", "99.00", false, 128 << 20},
	} {
		dir := t.TempDir()
		group(t, dir, c.used, c.stall)
		root := append([]byte(dir), 0)
		o := Options{SysRoot: uintptr(unsafe.Pointer(&root[0]))}
		o.Config.Unaware = !c.aware
		h := newHeap(t, o)
		var held []uintptr
		for range 128 {
			held = append(held, h.Malloc(1<<20))
		}
		h.Background(1e9)
		for _, p := range held {
			h.Free(p, CallFree)
		}
		h.Background(2e9)
		got := resident(h)
		require.LessOrEqual(t, got, c.most+4<<20, c.name)
		if c.most > 64<<20 {
			require.Greater(t, got, units.Bytes(64<<20), c.name)
		}
		check(t, h, 0)
		require.NotEmpty(t, root)
	}
}

func TestHardLimitRefusesAndIsHonoured(t *testing.T) {
	h := newHeap(t, Options{Config: config.Config{SoftLimit: 24 << 20, HardLimit: 32 << 20}})
	var held []uintptr
	for range 1 << 20 {
		p := h.Malloc(3000)
		if p == 0 {
			break
		}
		held = append(held, p)
	}
	n := len(held)
	require.Greater(t, n*3072, 24<<20)
	require.LessOrEqual(t, resident(h), units.Bytes(32<<20))
	// What the program frees it can have again, in another size too.
	for _, p := range held[n/4:] {
		h.Free(p, CallFree)
	}
	held = held[:n/4]
	for range 10 << 20 / 100000 {
		p := h.Malloc(100000)
		require.NotZero(t, p)
		held = append(held, p)
	}
	require.LessOrEqual(t, resident(h), units.Bytes(32<<20))
	for _, p := range held {
		h.Free(p, CallFree)
	}
	check(t, h, 0)
}

func TestReleaseBytesIsARate(t *testing.T) {
	h := newHeap(t, Options{})
	var held []uintptr
	for range 64 {
		held = append(held, h.Malloc(1<<20))
	}
	for _, p := range held {
		h.Free(p, CallFree)
	}
	before := resident(h)
	total := units.Bytes(0)
	for range 32 {
		total += h.ReleaseBytes(1 << 20)
	}
	require.Equal(t, units.Bytes(32<<20), total)
	require.Equal(t, before-total, resident(h))
}
