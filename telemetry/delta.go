package telemetry

import (
	"fmt"
	"time"
)

// Delta is what changed in one heap between two snapshots. Signed fields are bytes that came (or, negative,
// went); the others were counted in the interval.
type Delta struct {
	PID      int           `json:"pid"`
	Interval time.Duration `json:"interval_ns"` // between the two writes of the block

	Mapped       int64 `json:"mapped_bytes"`
	InUse        int64 `json:"in_use_bytes"`
	Slack        int64 `json:"slack_bytes"`
	Cached       int64 `json:"cached_bytes"`
	PageHeapFree int64 `json:"page_heap_free_bytes"`
	WithoutPages int64 `json:"without_memory_bytes"` // released or unbacked
	Meta         int64 `json:"metadata_bytes"`

	SpansAllocated  uint64 `json:"spans_allocated"`
	SpansFreed      uint64 `json:"spans_freed"`
	HugepagesGrown  uint64 `json:"hugepages_grown"`
	ReleasedBytes   uint64 `json:"released_bytes"`
	MadviseFailures uint64 `json:"madvise_failures"`
	Underflows      uint64 `json:"underflows"`
	Overflows       uint64 `json:"overflows"`

	Classes []ClassDelta `json:"classes"` // those in which something changed
}

// ClassDelta is what changed in one size class.
type ClassDelta struct {
	ID   int    `json:"id"`
	Size uint64 `json:"size_bytes"`

	Used  int64 `json:"used"` // objects
	Spans int64 `json:"spans"`

	Fetched        uint64 `json:"spans_fetched"`
	Returned       uint64 `json:"spans_returned"`
	TransferHits   uint64 `json:"transfer_hits"`
	TransferMisses uint64 `json:"transfer_misses"`
	LockWaits      uint64 `json:"lock_waits"` // of the transfer cache and the central free list
}

// PerSecond is the rate of something that was counted n times. It is 0 for an empty interval.
func (d *Delta) PerSecond(n uint64) float64 {
	if d.Interval <= 0 {
		return 0
	}
	return float64(n) / d.Interval.Seconds()
}

// Since is what changed from the earlier snapshot to s. Both must be of one heap: a process that executed
// another program or forked has a new one, whose counters begin at 0.
func (s *Snapshot) Since(earlier *Snapshot) (*Delta, error) {
	switch {
	case s.PID != earlier.PID:
		return nil, fmt.Errorf("snapshots of two processes, %d and %d, have no difference", earlier.PID, s.PID)
	case s.started != earlier.started:
		return nil, fmt.Errorf("process %d has begun a new heap between the two snapshots", s.PID)
	case s.Writes < earlier.Writes:
		return nil, fmt.Errorf("process %d: the snapshots are in the wrong order", s.PID)
	}
	a, b := &earlier.Totals, &s.Totals
	d := &Delta{
		PID:      s.PID,
		Interval: time.Duration(s.updated - earlier.updated),

		Mapped:       int64(b.Mapped - a.Mapped),
		InUse:        int64(b.InUse() - a.InUse()),
		Slack:        int64(b.Slack - a.Slack),
		Cached:       int64(b.Cached() - a.Cached()),
		PageHeapFree: int64(b.PageHeapFree() - a.PageHeapFree()),
		WithoutPages: int64(b.FillerReleased + b.Unbacked - a.FillerReleased - a.Unbacked),
		Meta:         int64(b.Meta - a.Meta),

		SpansAllocated:  counted(a.SpansAllocated, b.SpansAllocated),
		SpansFreed:      counted(a.SpansFreed, b.SpansFreed),
		HugepagesGrown:  counted(a.HugepagesGrown, b.HugepagesGrown),
		ReleasedBytes:   counted(a.ReleasedBytes, b.ReleasedBytes),
		MadviseFailures: counted(a.MadviseFailures, b.MadviseFailures),
		Underflows:      counted(a.Underflows, b.Underflows),
		Overflows:       counted(a.Overflows, b.Overflows),
	}
	d.Classes = classDeltas(earlier.Classes, s.Classes)
	return d, nil
}

// counted is how much a counter grew. Counters the process writes without locks may be seen a little early or
// late; none is reported to have run backwards.
func counted(before, after uint64) uint64 {
	if after < before {
		return 0
	}
	return after - before
}

// classDeltas matches rows by id: both lists are in its order.
func classDeltas(before, after []Class) (out []ClassDelta) {
	for i := range after {
		b := &after[i]
		for len(before) > 0 && before[0].ID < b.ID {
			before = before[1:]
		}
		a := Class{ID: b.ID, Size: b.Size}
		if len(before) > 0 && before[0].ID == b.ID {
			a = before[0]
		}
		k := ClassDelta{
			ID: b.ID, Size: b.Size,
			Used: int64(b.Used - a.Used), Spans: int64(b.Spans - a.Spans),
			Fetched: counted(a.Fetched, b.Fetched), Returned: counted(a.Returned, b.Returned),
			TransferHits: counted(a.TransferHits, b.TransferHits), TransferMisses: counted(a.TransferMisses, b.TransferMisses),
			LockWaits: counted(a.CentralContended, b.CentralContended) + counted(a.TransferContended, b.TransferContended),
		}
		if k != (ClassDelta{ID: b.ID, Size: b.Size}) {
			out = append(out, k)
		}
	}
	return out
}
