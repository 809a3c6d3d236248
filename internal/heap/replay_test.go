package heap

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/bench/fleet"
	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// replayed is what a trace left in memory, on average over its last nine tenths, in bytes.
type replayed struct {
	live, resident, fillerFree, central, returned float64
}

// replay plays a trace to a heap by one thread on one vCPU: the same trace, seed and settings give the same memory, to
// the page. 100,000 events stand for a second of background work.
func replay(t testing.TB, trace *fleet.Trace, legacy config.Features) (out replayed) {
	o := Options{Seed: 42, Config: config.Config{Legacy: legacy, NoCollapse: true, Unaware: true}}
	o.PerCPU.VCPUs = 1
	h := new(Heap)
	require.True(t, h.Init(&o), "no window")
	defer h.pages().Unmap()
	const second = 100000
	at := make([]uintptr, trace.Slots)
	sizes := make([]uint64, trace.Slots)
	live, n := uint64(0), len(trace.Events)
	samples := 0.0
	for i, e := range trace.Events {
		if e.Op == fleet.Alloc {
			p := h.Aligned(units.Bytes(e.Size), 1<<e.Align)
			require.NotZero(t, p)
			for off := uint64(0); off < e.Size; off += 4096 {
				*(*byte)(sys.At(p + uintptr(off))) = 1
			}
			at[e.Slot], sizes[e.Slot] = p, e.Size
			live += e.Size
		} else {
			h.Free(at[e.Slot], CallFree)
			live -= sizes[e.Slot]
		}
		if i%second == second-1 {
			h.Background(int64(i/second) * 1e9)
		}
		if every := max(n/100, 1); i > n/10 && i%every == 0 {
			var s Stats
			h.Stats(&s)
			samples++
			out.live += float64(live)
			out.resident += float64(present(t, h))
			out.fillerFree += float64(s.FillerFree)
			out.central += float64(s.Central)
			out.returned = float64(s.Pages.SpansFreed)
		}
	}
	for _, v := range []*float64{&out.live, &out.resident, &out.fillerFree, &out.central} {
		*v /= samples
	}
	return out
}

// present is the bytes of the window that the kernel has memory behind.
func present(t testing.TB, h *Heap) (n units.Bytes) {
	s := h.pages().Space()
	pages := make([]byte, s.Grown()/4096)
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, s.Base(), s.Grown(), uintptr(unsafe.Pointer(&pages[0]))); e != 0 {
		t.Skip("mincore: ", e)
	}
	for _, b := range pages {
		n += units.Bytes(b&1) << 12
	}
	return n
}

// Two sets of hugepages must not cost a small heap memory: a second hugepage that is half full is a twentieth of it.
func TestTheLifetimeFillerIsFreeInSmallHeaps(t *testing.T) {
	for seed := range uint64(2) {
		trace := fleet.Synthesise(400000, seed+1)
		before, after := replay(t, trace, config.LifetimeFiller), replay(t, trace, 0)
		t.Logf("seed %d: %.2f MiB live, resident %.2f -> %.2f", seed, before.live/(1<<20), before.resident/(1<<20), after.resident/(1<<20))
		require.LessOrEqual(t, after.resident, before.resident*1.01)
	}
}

// TestReplayTraces is for those who change what decides where spans lie. VCMTEST_TRACES lists what to replay: files of
// bench record, or numbers, of allocations of a synthetic fleet, with a number of days behind an x if its load is to
// swing (4000000x6). VCMTEST_SEED is the fleets'. It prints what each design makes of them.
func TestReplayTraces(t *testing.T) {
	list := os.Getenv("VCMTEST_TRACES")
	if list == "" {
		t.Skip("VCMTEST_TRACES is not set")
	}
	seed := uint64(1)
	if s := os.Getenv("VCMTEST_SEED"); s != "" {
		_, err := fmt.Sscan(s, &seed)
		require.NoError(t, err)
	}
	for _, w := range strings.Split(list, ",") {
		n, days := 0, 0
		var trace *fleet.Trace
		if k, _ := fmt.Sscanf(w, "%dx%d", &n, &days); k == 2 {
			trace = fleet.Settled(n, days, seed)
		} else if k == 1 {
			trace = fleet.Synthesise(n, seed)
		} else {
			var err error
			trace, err = fleet.Load(w)
			require.NoError(t, err)
		}
		const mib = 1 << 20
		base := 0.0
		for _, d := range []struct {
			name   string
			legacy config.Features
		}{
			{"legacy", config.LifetimeFiller | config.SpanPriority},
			{"lifetime_filler", config.SpanPriority},
			{"span_priority", config.LifetimeFiller},
			{"both", 0},
		} {
			r := replay(t, trace, d.legacy)
			if base == 0 {
				base = r.resident
			}
			t.Logf("%s, %s: live %.2f, resident %.2f MiB (%+.2f %%), free in the filler %.2f, in spans %.2f, %.0f spans returned",
				w, d.name, r.live/mib, r.resident/mib, 100*(r.resident/base-1), r.fillerFree/mib, r.central/mib, r.returned)
		}
	}
}
