package heap

import (
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/percpu"
	"github.com/vcmalloc/vcmalloc/telemetry/block"
)

// Report writes the statistics as text for people; nothing when a fork takes too long.
func (h *Heap) Report(t *sys.Text) {
	if g := h.enterSoon(); g >= 0 {
		h.report(t)
		h.leave(g)
	}
}

func (h *Heap) report(t *sys.Text) {
	var s Stats
	h.stats(&s)
	t.Str("------------------------------------------------ vcmalloc\n")
	row(t, s.Used, "in use: objects of size classes", s.UsedObjects)
	row(t, s.Large, "in use: larger objects", s.LargeObjects)
	row(t, s.Slack, "slack: tails of spans", 0)
	row(t, s.PerCPU, "cached per CPU", 0)
	row(t, s.Transfer, "cached in transfer caches", 0)
	row(t, s.Central, "free in spans (central free list)", 0)
	row(t, s.FillerFree, "free in hugepages in use (page heap)", 0)
	row(t, s.Cache, "free hugepages (page heap)", 0)
	row(t, s.FillerReleased+s.Unbacked, "released to the system, or never touched", 0)
	t.Str("  = ")
	row(t, s.Mapped, "mapped for the heap", 0)
	row(t, s.Meta, "mapped for metadata (tables; touched as needed)", 0)
	if s.Side > 0 {
		row(t, s.Side, "side region (allocations during fork)", 0)
	}
	if d := s.Mapped - s.Accounted(); d != 0 {
		t.Str("  (objects moved between tiers while this was written)\n")
	}
	t.Str("vCPU caches: ").Dec(uint64(s.Populated), 0).Str(" populated, ").Dec(s.Underflows, 0).Str(" underflows, ").
		Dec(s.Overflows, 0).Str(" overflows\n")
	t.Str("page heap: ").Dec(s.Pages.SpansAllocated, 0).Str(" spans allocated, ").Dec(s.Pages.SpansFreed, 0).Str(" freed, ").
		Dec(s.Pages.HugeGrown, 0).Str(" hugepages grown, ").Dec(s.Pages.Released, 0).Str(" bytes released, ").
		Dec(s.Pages.MadviseFailures, 0).Str(" refusals\n")
	t.Str("  spans in shared hugepages: ").MiB(uint64(s.Pages.FillerUsed), 0).Str(" MiB (").MiB(uint64(s.Pages.FillerFree), 0).
		Str(" free there), in regions: ").MiB(uint64(s.Pages.RegionUsed), 0).Str(" (").MiB(uint64(s.Pages.RegionFree), 0).
		Str(" free); hugepages collapsed: ").Dec(s.Pages.Collapsed, 0).Str("; over the soft limit: ").Dec(s.Pages.SoftHits, 0).
		Str(" times, refused by the hard: ").Dec(s.Pages.HardRefusals, 0).Str("\n")
	if k := &s.Pages; k.Short+k.Long+k.Cold > 0 {
		t.Str("  spans of objects with a hint: ").MiB(uint64(k.Short), 0).Str(" MiB short-lived, ").MiB(uint64(k.Long), 0).
			Str(" MiB long-lived, ").MiB(uint64(k.Cold), 0).Str(" MiB cold\n")
	}
	if n := h.Front.Transfer.Domains(); n > 1 {
		t.Str("last-level cache domains: ").Dec(uint64(n), 0).Str("; reused across them ").Dec(s.Crossed, 0).Str(" of ").
			Dec(s.Reused, 0).Str(" objects, of which at least ").Dec(s.Forced, 0).Str(" had to\n")
	}
	h.reportNodes(t)
	h.reportClasses(t)
	h.reportCPUs(t)
	t.Str("---------------------------------------------------------\n")
}

func row(t *sys.Text, bytes units.Bytes, what string, objects uint64) {
	t.Dec(uint64(bytes), 16).Str(" bytes (").MiB(uint64(bytes), 9).Str(" MiB)  ").Str(what)
	if objects > 0 {
		t.Str(", ").Dec(objects, 0)
	}
	t.Str("\n")
}

func (h *Heap) reportNodes(t *sys.Text) {
	n := h.Front.Transfer.Nodes()
	if n < 2 {
		return
	}
	t.Str("NUMA node  CPUs      mapped       spans        free     objects  to others   back from others\n")
	for i := range n {
		var k block.Node
		h.publishNode(i, &k)
		t.Dec(uint64(k.Kernel), 9).Dec(uint64(k.CPUs), 6).MiB(k.Mapped, 8).Str(" MiB").MiB(k.Spans, 8).Str(" MiB").
			MiB(k.Free, 8).Str(" MiB").Dec(k.Near, 12).Dec(k.Far, 11).Dec(k.Home, 19).Str("\n")
	}
}

func (h *Heap) reportClasses(t *sys.Text) {
	t.Str("class    size  in use  per CPU transfer    free   spans  fetched returned\n")
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		var k ClassStats
		h.class(c, &k)
		if k.Central.Fetched == 0 {
			continue
		}
		t.Dec(uint64(c), 5).Dec(uint64(sizeclass.Size(c)), 8).Dec(k.Used, 8).Dec(uint64(k.PerCPU), 9).
			Dec(uint64(k.Transfer.Used), 9).Dec(k.Central.Free, 8).Dec(uint64(k.Central.Spans), 8).
			Dec(k.Central.Fetched, 9).Dec(k.Central.Returned, 9).Str("\n")
	}
}

func (h *Heap) reportCPUs(t *sys.Text) {
	t.Str(" vCPU  cached bytes    capacity   available    slab  underflows  overflows  drains  steals resizes\n")
	for v := units.VCPU(0); v < h.Front.VCPUs(); v++ {
		var k percpu.Stats
		h.Front.Stats(v, &k)
		if k.Capacity == 0 {
			continue
		}
		t.Dec(uint64(v), 5).Dec(uint64(k.Used), 14).Dec(uint64(k.Capacity), 12).Dec(uint64(k.Available), 12).
			Dec(uint64(k.SlabBytes), 8).Dec(k.Underflows, 12).Dec(k.Overflow, 11).
			Dec(uint64(k.Drains), 8).Dec(uint64(k.Steals), 8).Dec(uint64(k.Resizes), 8).Str("\n")
	}
}

// ReportXML writes the statistics as malloc_info's XML: glibc's elements, with one heap.
func (h *Heap) ReportXML(t *sys.Text) {
	if g := h.enterSoon(); g >= 0 {
		h.reportXML(t)
		h.leave(g)
	}
}

func (h *Heap) reportXML(t *sys.Text) {
	var s Stats
	h.stats(&s)
	t.Str("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n")
	free := uint64(0)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		var k ClassStats
		h.class(c, &k)
		n := uint64(k.PerCPU) + uint64(k.Transfer.Used) + k.Central.Free
		if n == 0 {
			continue
		}
		free += n
		size := uint64(sizeclass.Size(c))
		t.Str("<size from=\"").Dec(uint64(sizeclass.Size(c-1))+1, 0).Str("\" to=\"").Dec(size, 0).
			Str("\" total=\"").Dec(n*size, 0).Str("\" count=\"").Dec(n, 0).Str("\"/>\n")
	}
	t.Str("</sizes>\n")
	cached := s.PerCPU + s.Transfer + s.Central
	total(t, "fast", uint64(s.PerCPU), 0)
	total(t, "rest", uint64(cached-s.PerCPU), free)
	systemSizes(t, &s)
	t.Str("</heap>\n")
	total(t, "fast", uint64(s.PerCPU), 0)
	total(t, "rest", uint64(cached-s.PerCPU), free)
	total(t, "mmap", uint64(s.Large), s.LargeObjects)
	systemSizes(t, &s)
	t.Str("</malloc>\n")
}

func total(t *sys.Text, kind string, bytes, count uint64) {
	t.Str("<total type=\"").Str(kind).Str("\" count=\"").Dec(count, 0).Str("\" size=\"").Dec(bytes, 0).Str("\"/>\n")
}

func systemSizes(t *sys.Text, s *Stats) {
	backed := uint64(s.Mapped - s.Unbacked - s.FillerReleased)
	t.Str("<system type=\"current\" size=\"").Dec(backed, 0).Str("\"/>\n<system type=\"max\" size=\"").Dec(uint64(s.Mapped), 0).
		Str("\"/>\n<aspace type=\"total\" size=\"").Dec(uint64(s.Mapped), 0).Str("\"/>\n<aspace type=\"mprotect\" size=\"").
		Dec(uint64(s.Mapped), 0).Str("\"/>\n")
}
