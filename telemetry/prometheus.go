package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// CollectorOptions choose the rows beyond the totals: 14 series for each size class in use and 9 for
// each vCPU, per process.
type CollectorOptions struct {
	Classes bool
	VCPUs   bool
}

// Collector is a prometheus.Collector over a folder of blocks. Each scrape reads the folder anew. Only
// processes that are running are shown; vcmalloc_stats_files counts the rest. It is safe for concurrent use.
type Collector struct {
	dir     Dir
	options CollectorOptions
}

// NewCollector makes a Collector over dir, which need not exist yet: a scrape fails while it can't be read.
func NewCollector(dir Dir, options CollectorOptions) *Collector {
	return &Collector{dir: dir, options: options}
}

// processLabels are on every metric of a process. The id tells namesakes apart.
var processLabels = []string{"pid", "command"}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("vcmalloc_"+name, help, append(processLabels[:len(processLabels):len(processLabels)], labels...), nil)
}

var (
	filesDesc = prometheus.NewDesc("vcmalloc_stats_files",
		"Statistics files in the folder by what became of their process; unreadable: of a running one, but not understood.",
		[]string{"state"}, nil)

	mappedDesc = desc("heap_mapped_bytes", "Address space handed out to the heap: the sum of vcmalloc_heap_bytes over its parts.")
	partDesc   = desc("heap_bytes", "Where the heap's memory is.", "part")
	metaDesc   = desc("metadata_bytes", "Tables, mapped besides the heap and touched as needed.")
	sideDesc   = desc("side_bytes", "Mapped besides the heap for allocations that came while a fork was under way.")
	objectDesc = desc("objects", "Objects in the application's hands, of size classes (small) and larger.", "kind")

	allocatedDesc = desc("spans_allocated_total", "Spans the page heap handed out.")
	freedDesc     = desc("spans_freed_total", "Spans that came back to the page heap.")
	grownDesc     = desc("hugepages_grown_total", "Hugepages added to the heap's address space.")
	releasedDesc  = desc("released_bytes_total", "Memory given back to the system.")
	madviseDesc   = desc("madvise_failures_total", "Requests to the system about memory that it refused.")
	missDesc      = desc("percpu_misses_total", "Operations the per-CPU caches could not serve.", "operation")

	spansDesc      = desc("page_heap_used_bytes", "Spans by where in the page heap they are: in hugepages that spans share, in regions, in hugepages of their own.", "where")
	regionFreeDesc = desc("region_free_bytes", "Free pages of regions that have memory: a part of filler_free.")
	hintedDesc     = desc("hinted_span_bytes", "Spans whose objects their callers gave a hint for: cold, short-lived or long-lived.")
	collapsedDesc  = desc("hugepages_collapsed_total", "Hugepages the system put behind small pages on request.")
	softDesc       = desc("soft_limit_hits_total", "How often the heap exceeded its soft limit.")
	hardDesc       = desc("hard_limit_refusals_total", "Requests refused because of the hard limit.")

	reuseDesc = desc("reused_objects_total", "Objects the middle tiers handed out again, by whether the last-level cache domain that freed them was the same.", "domain")

	forcedDesc  = desc("forced_objects_total", "Of the reused objects that another last-level cache domain had freed, at least so many had to: their domains had been handed more than they had freed.")
	carriedDesc = desc("carried_objects_total", "Objects in vCPU caches when these were found in another last-level cache domain.")
	openDesc    = desc("domain_open", "Whether a last-level cache domain has transfer caches of its own now.", "domain")
	cpusDesc    = desc("domain_cpus", "CPUs online in a last-level cache domain when the topology was read.", "domain")
	domainDesc  = desc("domain_cached_bytes", "Free objects in the transfer caches of a last-level cache domain.", "domain")
	nodeDesc    = desc("numa_node_bytes", "Memory of the page heap of a NUMA node, by what it is used for.", "node", "part")
	nodeObjects = desc("numa_node_objects_total", "Objects of a NUMA node's memory: handed to its own CPUs (near), to others (far), freed on others' CPUs and brought back (returned).", "node", "way")
	domainReqs  = desc("domain_transfer_objects_total", "Objects asked of or offered to the transfer caches of a last-level cache domain.", "domain", "result")

	startDesc   = desc("heap_start_time_seconds", "When the heap was made, since the epoch.")
	updatedDesc = desc("stats_updated_timestamp_seconds", "When the process last wrote its statistics, since the epoch.")
)

// Describe sends the metrics' descriptions.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		filesDesc, mappedDesc, partDesc, metaDesc, sideDesc, objectDesc, allocatedDesc, freedDesc, grownDesc,
		releasedDesc, madviseDesc, missDesc, spansDesc, regionFreeDesc, collapsedDesc, softDesc, hardDesc, reuseDesc, forcedDesc, carriedDesc,
		hintedDesc, openDesc, cpusDesc, domainDesc, domainReqs, nodeDesc, nodeObjects, startDesc, updatedDesc,
	} {
		ch <- d
	}
	if c.options.Classes {
		describeClasses(ch)
	}
	if c.options.VCPUs {
		describeVCPUs(ch)
	}
}

// Collect reads the folder and sends every running process's numbers.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	processes, err := c.dir.Processes()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(filesDesc, err)
		return
	}
	files := map[string]int{Running.String(): 0, Ended.String(): 0, Replaced.String(): 0, "unreadable": 0}
	for i := range processes {
		p := &processes[i]
		if p.State == Running && p.Snapshot == nil {
			files["unreadable"]++
			continue
		}
		files[p.State.String()]++
		if p.State == Running {
			c.process(ch, p)
		}
	}
	for state, n := range files {
		ch <- prometheus.MustNewConstMetric(filesDesc, prometheus.GaugeValue, float64(n), state)
	}
}

// sink sends metrics with the labels of one process.
type sink struct {
	ch     chan<- prometheus.Metric
	labels []string
}

func (s sink) send(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels []string) {
	all := append(s.labels[:len(s.labels):len(s.labels)], labels...)
	m, err := prometheus.NewConstMetric(d, kind, value, all...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	s.ch <- m
}

func (s sink) gauge(d *prometheus.Desc, value uint64, labels ...string) {
	s.send(d, prometheus.GaugeValue, float64(value), labels)
}

func (s sink) counter(d *prometheus.Desc, value uint64, labels ...string) {
	s.send(d, prometheus.CounterValue, float64(value), labels)
}

func (c *Collector) process(ch chan<- prometheus.Metric, p *Process) {
	s := sink{ch, []string{strconv.Itoa(p.PID), p.Command}}
	t := &p.Snapshot.Totals
	s.gauge(mappedDesc, t.Mapped)
	for _, part := range t.Parts() {
		s.gauge(partDesc, part.Bytes, part.Name)
	}
	s.gauge(metaDesc, t.Meta)
	s.gauge(sideDesc, t.Side)
	s.gauge(objectDesc, t.UsedObjects, "small")
	s.gauge(objectDesc, t.LargeObjects, "large")
	s.counter(allocatedDesc, t.SpansAllocated)
	s.counter(freedDesc, t.SpansFreed)
	s.counter(grownDesc, t.HugepagesGrown)
	s.counter(releasedDesc, t.ReleasedBytes)
	s.counter(madviseDesc, t.MadviseFailures)
	s.counter(missDesc, t.Underflows, "allocation")
	s.counter(missDesc, t.Overflows, "free")
	s.gauge(spansDesc, t.FillerUsed, "filler")
	s.gauge(spansDesc, t.RegionUsed, "region")
	s.gauge(spansDesc, t.WholeUsed(), "whole")
	s.gauge(regionFreeDesc, t.RegionFree)
	s.gauge(hintedDesc, t.Hinted)
	s.counter(collapsedDesc, t.Collapsed)
	s.counter(softDesc, t.SoftHits)
	s.counter(hardDesc, t.HardRefusals)
	s.counter(reuseDesc, t.Reused-min(t.Crossed, t.Reused), "same")
	s.counter(reuseDesc, t.Crossed, "other")
	s.counter(forcedDesc, t.Forced)
	s.counter(carriedDesc, t.Carried)
	for i := range p.Snapshot.Domains {
		if d := &p.Snapshot.Domains[i]; len(p.Snapshot.Domains) > 1 {
			id := strconv.Itoa(d.ID)
			s.gauge(openDesc, flag(d.Open), id)
			s.gauge(cpusDesc, uint64(d.CPUs), id)
			s.gauge(domainDesc, d.Bytes, id)
			s.counter(domainReqs, d.Hits, id, "hit")
			s.counter(domainReqs, d.Misses, id, "miss")
		}
	}
	for i := range p.Snapshot.Nodes {
		n := &p.Snapshot.Nodes[i]
		id := strconv.Itoa(n.ID)
		s.gauge(nodeDesc, n.Spans, id, "spans")
		s.gauge(nodeDesc, n.Free, id, "free")
		s.gauge(nodeDesc, n.Unbacked, id, "unbacked")
		s.counter(nodeObjects, n.Near, id, "near")
		s.counter(nodeObjects, n.Far, id, "far")
		s.counter(nodeObjects, n.Home, id, "returned")
	}
	s.send(startDesc, prometheus.GaugeValue, epochSeconds(p.Snapshot.Started), nil)
	s.send(updatedDesc, prometheus.GaugeValue, epochSeconds(p.Snapshot.Updated), nil)
	if c.options.Classes {
		sendClasses(s, p.Snapshot.Classes)
	}
	if c.options.VCPUs {
		sendVCPUs(s, p.Snapshot.VCPUs)
	}
}

func flag(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

// epochSeconds keeps milliseconds: a double's last digits would differ from scrape to scrape.
func epochSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }
