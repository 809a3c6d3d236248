package telemetry

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/telemetry/block"
)

// sample is a block whose numbers agree with each other, of process pid, written just now.
func sample(pid int) *block.Block {
	now := readClock().monotonic
	b := &block.Block{
		Magic: block.Magic, Version: block.Version, Bytes: uint32(blockBytes), Sequence: 8, PID: uint64(pid),
		Started: now - 5e6, Updated: now - 1e6, Classes: 4, VCPUs: 8, Domains: 2,
	}
	b.Class[1] = block.Class{Size: 8, Pages: 1}
	b.Class[2] = block.Class{Size: 16, Pages: 1, Used: 100, Free: 300, PerCPU: 12, Transfer: 100, TransferCapacity: 512,
		Spans: 1, Fetched: 3, Returned: 2, TransferHits: 4, TransferMisses: 6, CentralContended: 1, XferContend: 2, Reused: 20, Crossed: 5}
	b.Class[3] = block.Class{Size: 32, Pages: 1, Used: 200, Free: 56, Spans: 1, Fetched: 1}
	b.PerCPU[0] = block.VCPU{SlabBytes: 1 << 20, Used: 128, Capacity: 4096, Available: 1000, Underflows: 4, Overflows: 1}
	b.PerCPU[7] = block.VCPU{SlabBytes: 1 << 20, Used: 64, Capacity: 4096, Underflows: 3, Drains: 1}
	b.Domain[0] = block.Domain{Open: 1, CPUs: 8, Bytes: 1600, Hits: 10, Misses: 2}
	b.Domain[1] = block.Domain{CPUs: 4}
	b.Nodes = 2
	b.Node[0] = block.Node{CPUs: 8, Mapped: 1000, Spans: 600, Free: 300, Empty: 100, Near: 50, Home: 5}
	b.Node[1] = block.Node{Kernel: 1, CPUs: 4, Mapped: 10, Spans: 10, Far: 2}
	b.Total = block.Totals{
		Used: 100*16 + 200*32, Large: 1 << 20, Slack: 40, PerCPU: 12 * 16, Transfer: 100 * 16, Central: 300*16 + 56*32,
		FillerFree: 8192, FillerReleased: 16384, Cache: 2 << 20, Unbacked: 4 << 20, Meta: 70000, Side: 4096,
		UsedObjects: 300, LargeObjects: 2, SpansAllocated: 9, SpansFreed: 5, HugeGrown: 4, Released: 16384,
		MadviseFailures: 1, Underflows: 7, Overflows: 1,
		FillerUsed: 16384, RegionUsed: 8192, RegionFree: 4096, Collapsed: 3, SoftHits: 6, HardRefusals: 1,
	}
	t := totals(&b.Total)
	b.Total.Mapped = t.Accounted()
	return b
}

func snapshot(t testing.TB, b *block.Block) *Snapshot {
	t.Helper()
	s, err := Decode(bytesOf(b))
	require.NoError(t, err)
	return s
}

func writeFile(t testing.TB, dir Dir, pid int, data []byte) string {
	t.Helper()
	path := filepath.Join(string(dir), filepath.Base(dir.Path(pid)))
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}
