package telemetry

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Rows of size classes, labelled by the size of their objects in bytes.
var (
	classObjectsDesc  = desc("class_objects", "Objects of a size class by where they are.", "size", "part")
	classSpansDesc    = desc("class_spans", "Spans of a size class.", "size")
	classCapacityDesc = desc("class_transfer_capacity_objects", "Objects the transfer cache may hold of a size class.", "size")
	classFetchedDesc  = desc("class_spans_fetched_total", "Spans a size class took from the page heap.", "size")
	classReturnedDesc = desc("class_spans_returned_total", "Spans a size class gave back to the page heap.", "size")
	classTransferDesc = desc("class_transfer_requests_total", "Batches asked of or offered to the transfer cache.", "size", "result")
	classSeenDesc     = desc("class_spans_seen_total", "Spans at snapshots, about one a second, by least live objects.", "size", "live")
	classGoneDesc     = desc("class_spans_seen_returned_total", "Of these, those returned before the next snapshot.", "size", "live")
	classReuseDesc    = desc("class_reused_objects_total", "Objects of a size class that the middle tiers handed out again, by whether the last-level cache domain that freed them was the same.", "size", "domain")
	classWaitsDesc    = desc("class_lock_waits_total", "Acquisitions of a lock that had to wait.", "size", "lock")
)

// Rows of vCPUs.
var (
	vcpuBytesDesc     = desc("vcpu_cached_bytes", "Free objects a vCPU's cache holds.", "vcpu")
	vcpuCapacityDesc  = desc("vcpu_capacity_bytes", "What a vCPU's cache may hold.", "vcpu")
	vcpuAvailableDesc = desc("vcpu_available_bytes", "The part of a vCPU's budget that no size class has been given.", "vcpu")
	vcpuSlabDesc      = desc("vcpu_slab_bytes", "Address space of a vCPU's cache.", "vcpu")
	vcpuMissDesc      = desc("vcpu_misses_total", "Operations a vCPU's cache could not serve.", "vcpu", "operation")
	vcpuDrainsDesc    = desc("vcpu_drains_total", "How often a vCPU's cache was emptied because the vCPU was idle.", "vcpu")
	vcpuStealsDesc    = desc("vcpu_steals_total", "How often a class in a vCPU's cache lost capacity to another class or vCPU.", "vcpu")
	vcpuResizesDesc   = desc("vcpu_resizes_total", "How often a vCPU's slab was laid out anew.", "vcpu")
)

func describeClasses(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		classObjectsDesc, classSpansDesc, classCapacityDesc, classFetchedDesc, classReturnedDesc, classTransferDesc, classWaitsDesc,
		classSeenDesc, classGoneDesc, classReuseDesc,
	} {
		ch <- d
	}
}

func describeVCPUs(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		vcpuBytesDesc, vcpuCapacityDesc, vcpuAvailableDesc, vcpuSlabDesc, vcpuMissDesc, vcpuDrainsDesc, vcpuStealsDesc, vcpuResizesDesc,
	} {
		ch <- d
	}
}

// sendClasses sends the classes that were ever used. A file could name one size twice, and the registry fails
// the whole scrape on a duplicate: only the first counts.
func sendClasses(s sink, classes []Class) {
	last := uint64(0)
	for i := range classes {
		k := &classes[i]
		if !k.Active() || k.Size <= last {
			continue
		}
		last = k.Size
		size := strconv.FormatUint(k.Size, 10)
		s.gauge(classObjectsDesc, k.Used, size, "used")
		s.gauge(classObjectsDesc, k.PerCPU, size, "percpu")
		s.gauge(classObjectsDesc, k.Transfer, size, "transfer")
		s.gauge(classObjectsDesc, k.Free, size, "central")
		s.gauge(classSpansDesc, k.Spans, size)
		s.gauge(classCapacityDesc, k.TransferCapacity, size)
		s.counter(classFetchedDesc, k.Fetched, size)
		s.counter(classReturnedDesc, k.Returned, size)
		s.counter(classTransferDesc, k.TransferHits, size, "hit")
		s.counter(classTransferDesc, k.TransferMisses, size, "miss")
		s.counter(classWaitsDesc, k.CentralContended, size, "central")
		s.counter(classWaitsDesc, k.TransferContended, size, "transfer")
		s.counter(classReuseDesc, k.Reused-min(k.Crossed, k.Reused), size, "same")
		s.counter(classReuseDesc, k.Crossed, size, "other")
		for _, b := range k.Bands {
			live := strconv.Itoa(b.Least)
			s.counter(classSeenDesc, b.Seen, size, live)
			s.counter(classGoneDesc, b.Gone, size, live)
		}
	}
}

func sendVCPUs(s sink, vcpus []VCPU) {
	for i := range vcpus {
		v := &vcpus[i]
		id := strconv.Itoa(v.ID)
		s.gauge(vcpuBytesDesc, v.Used, id)
		s.gauge(vcpuCapacityDesc, v.Capacity, id)
		s.gauge(vcpuAvailableDesc, v.Available, id)
		s.gauge(vcpuSlabDesc, v.SlabBytes, id)
		s.counter(vcpuMissDesc, v.Underflows, id, "allocation")
		s.counter(vcpuMissDesc, v.Overflows, id, "free")
		s.counter(vcpuDrainsDesc, v.Drains, id)
		s.counter(vcpuStealsDesc, v.Steals, id)
		s.counter(vcpuResizesDesc, v.Resizes, id)
	}
}
