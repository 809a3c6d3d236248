package telemetry

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/telemetry/block"
)

// Errors a block is refused with; errors.Is finds them behind the file's name.
var (
	// ErrFormat: not a block, or one whose numbers can't be.
	ErrFormat = errors.New("not a statistics block of vcmalloc")
	// ErrVersion: a block of a version this package does not know.
	ErrVersion = errors.New("another version of the statistics block")
	// ErrEmpty: the process has made the file and written no statistics yet.
	ErrEmpty = errors.New("no statistics published yet")
	// ErrBusy: the block was being written at every attempt. Of a process that has ended or is stopped: it
	// ended or stopped while writing.
	ErrBusy = errors.New("the statistics block is half written")
)

// Decode reads a block from a copy of its file, which nobody may change meanwhile; use a Reader for a file of
// a running process. Times are placed on the wall clock of this moment.
func Decode(data []byte) (*Snapshot, error) {
	if len(data) < blockBytes {
		if len(data) == 0 {
			return nil, ErrEmpty
		}
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrFormat, len(data), blockBytes)
	}
	var b block.Block
	copy(bytesOf(&b), data)
	return decode(&b, readClock())
}

// clock is one moment on two clocks.
type clock struct {
	wall      time.Time
	monotonic int64 // nanoseconds
}

func readClock() clock {
	var ts unix.Timespec
	// CLOCK_MONOTONIC can't fail on Linux.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return clock{time.Now(), ts.Nano()}
}

// at is the wall clock's time at nanoseconds t of the monotonic one. The result keeps Go's own monotonic
// reading, so that differences of two are exact even if the wall clock is set between.
func (c clock) at(t int64) time.Time {
	if t <= 0 {
		return time.Time{}
	}
	// Both are positive: the difference does not overflow.
	return c.wall.Add(time.Duration(t - c.monotonic))
}

// header checks all that must hold before a row is looked at.
func header(b *block.Block) error {
	switch {
	case b.Magic == 0:
		return ErrEmpty
	case b.Magic != block.Magic:
		return fmt.Errorf("%w: magic number %#x", ErrFormat, b.Magic)
	case b.Version == 0:
		return ErrEmpty
	case b.Version != block.Version:
		return fmt.Errorf("%w: it is %d, this reader knows %d; use the vcmalloc command that came with the library",
			ErrVersion, b.Version, block.Version)
	case b.Bytes == 0 || b.Sequence < 2:
		return ErrEmpty
	case int64(b.Bytes) != int64(blockBytes):
		return fmt.Errorf("%w: it says it has %d bytes, version %d has %d", ErrFormat, b.Bytes, b.Version, blockBytes)
	case b.Sequence%2 != 0:
		return ErrBusy
	case b.PID == 0 || b.PID > math.MaxInt32:
		return fmt.Errorf("%w: process id %d", ErrFormat, b.PID)
	case b.Classes > block.MaxClasses || b.VCPUs > block.MaxVCPUs || b.Domains > block.MaxDomains || b.Nodes > block.MaxNodes:
		return fmt.Errorf("%w: %d classes, %d vCPUs, %d domains, %d nodes", ErrFormat, b.Classes, b.VCPUs, b.Domains, b.Nodes)
	case b.Started < 0 || b.Updated < b.Started:
		return fmt.Errorf("%w: started at %d ns, written at %d ns", ErrFormat, b.Started, b.Updated)
	}
	return nil
}

func decode(b *block.Block, now clock) (*Snapshot, error) {
	if err := header(b); err != nil {
		return nil, err
	}
	s := &Snapshot{
		PID:     int(b.PID),
		Started: now.at(b.Started), Updated: now.at(b.Updated),
		Writes:  b.Sequence / 2,
		Totals:  totals(&b.Total),
		started: b.Started, updated: b.Updated,
	}
	for i := range b.Class[:b.Classes] {
		if k := &b.Class[i]; k.Size != 0 {
			s.Classes = append(s.Classes, class(i, k))
			s.Classes[len(s.Classes)-1].Bands = bands(&b.Return[i])
		}
	}
	for i := range b.PerCPU[:b.VCPUs] {
		if k := &b.PerCPU[i]; k.Capacity|k.SlabBytes != 0 {
			s.VCPUs = append(s.VCPUs, VCPU{
				ID: i, SlabBytes: k.SlabBytes, Used: k.Used, Capacity: k.Capacity, Available: k.Available,
				Underflows: k.Underflows, Overflows: k.Overflows, Drains: k.Drains,
				Steals: uint64(k.Steals), Resizes: uint64(k.Resizes),
			})
		}
	}
	for i := range b.Domain[:b.Domains] {
		k := &b.Domain[i]
		s.Domains = append(s.Domains, Domain{ID: i, Open: k.Open != 0, CPUs: int(k.CPUs), Bytes: k.Bytes, Hits: k.Hits, Misses: k.Misses})
	}
	if b.Nodes > 1 { // of one, the totals tell all
		for i := range b.Node[:b.Nodes] {
			k := &b.Node[i]
			s.Nodes = append(s.Nodes, Node{ID: int(k.Kernel), CPUs: int(k.CPUs), Mapped: k.Mapped, Spans: k.Spans, Free: k.Free,
				Unbacked: k.Empty, SpansAllocated: k.SpansAllocated, Near: k.Near, Far: k.Far, Home: k.Home})
		}
	}
	return s, nil
}

func totals(t *block.Totals) Totals {
	return Totals{
		Mapped: t.Mapped, Used: t.Used, Large: t.Large, Slack: t.Slack,
		PerCPU: t.PerCPU, Transfer: t.Transfer, Central: t.Central,
		FillerFree: t.FillerFree, FillerReleased: t.FillerReleased, Cache: t.Cache, Unbacked: t.Unbacked,
		Meta: t.Meta, Side: t.Side,
		UsedObjects: t.UsedObjects, LargeObjects: t.LargeObjects,
		SpansAllocated: t.SpansAllocated, SpansFreed: t.SpansFreed,
		HugepagesGrown: t.HugeGrown, ReleasedBytes: t.Released, MadviseFailures: t.MadviseFailures,
		FillerUsed: t.FillerUsed, RegionUsed: t.RegionUsed, RegionFree: t.RegionFree,
		Collapsed: t.Collapsed, SoftHits: t.SoftHits, HardRefusals: t.HardRefusals,
		Underflows: t.Underflows, Overflows: t.Overflows, Reused: t.Reused, Crossed: t.Crossed, Forced: t.Forced, Carried: t.Carried,
		Hinted: t.Hinted,
	}
}

func class(id int, k *block.Class) Class {
	return Class{
		ID: id, Size: uint64(k.Size), SpanPages: uint64(k.Pages),
		Used: k.Used, PerCPU: uint64(k.PerCPU), Transfer: uint64(k.Transfer), Free: k.Free,
		TransferCapacity: uint64(k.TransferCapacity), Spans: uint64(k.Spans),
		Fetched: k.Fetched, Returned: k.Returned,
		TransferHits: k.TransferHits, TransferMisses: k.TransferMisses,
		CentralContended: uint64(k.CentralContended), TransferContended: uint64(k.XferContend),
		Reused: k.Reused, Crossed: k.Crossed,
	}
}
