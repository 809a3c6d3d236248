package telemetry

import (
	"errors"
	"fmt"
)

// Accounted is the sum of Parts. It equals Mapped when the process is at rest.
func (t *Totals) Accounted() uint64 {
	return t.Used + t.Large + t.Slack + t.PerCPU + t.Transfer + t.Central +
		t.FillerFree + t.FillerReleased + t.Cache + t.Unbacked
}

// Imbalance is by how many bytes Mapped exceeds the sum of its parts: what moved between two tiers while the
// process wrote the block, 0 at rest.
func (t *Totals) Imbalance() int64 { return int64(t.Mapped - t.Accounted()) }

// Check holds the numbers against each other, as they must agree in a process that was at rest when it wrote
// them: Mapped against its parts, and the totals against the rows of classes and vCPUs. It returns all
// disagreements joined, nil if there are none.
func (s *Snapshot) Check() error {
	var errs []error
	same := func(what string, total, rows uint64) {
		if total != rows {
			errs = append(errs, fmt.Errorf("%s is %d, but its parts add up to %d (%+d)", what, total, rows, int64(total-rows)))
		}
	}
	t := &s.Totals
	same("mapped_bytes", t.Mapped, t.Accounted())
	var used, objects, perCPU, transfer, central uint64
	for i := range s.Classes {
		k := &s.Classes[i]
		used += k.Used * k.Size
		objects += k.Used
		perCPU += k.PerCPU * k.Size
		transfer += k.Transfer * k.Size
		central += k.Free * k.Size
	}
	same("used_bytes", t.Used, used)
	same("used_objects", t.UsedObjects, objects)
	same("percpu_bytes over classes", t.PerCPU, perCPU)
	same("transfer_bytes", t.Transfer, transfer)
	same("central_bytes", t.Central, central)

	// Rows of vCPUs may be cut off at the block's limit, so they may not exceed the totals, but fall short.
	var cached, underflows, overflows uint64
	for i := range s.VCPUs {
		v := &s.VCPUs[i]
		cached += v.Used
		underflows += v.Underflows
		overflows += v.Overflows
	}
	if cached > t.PerCPU || underflows > t.Underflows || overflows > t.Overflows {
		errs = append(errs, fmt.Errorf("vCPUs hold %d bytes and missed %d and %d times, more than the totals %d, %d and %d",
			cached, underflows, overflows, t.PerCPU, t.Underflows, t.Overflows))
	}
	return errors.Join(errs...)
}
