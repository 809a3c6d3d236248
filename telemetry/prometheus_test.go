package telemetry

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCollector(t *testing.T) {
	dir := Dir(t.TempDir())
	me, ended := os.Getpid(), endedPID(t)
	writeFile(t, dir, me, bytesOf(sample(me)))
	writeFile(t, dir, ended, bytesOf(sample(ended)))
	writeFile(t, dir, os.Getppid(), []byte("junk that is no block"))
	collector := NewCollector(dir, CollectorOptions{Classes: true, VCPUs: true})

	problems, err := testutil.CollectAndLint(collector)
	require.NoError(t, err)
	assert.Empty(t, problems, "the names follow Prometheus's conventions")

	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(collector))
	labels := `command="` + commandOf(me) + `",`
	pid := `pid="` + strconv.Itoa(me) + `"`
	want := `
# HELP vcmalloc_stats_files Statistics files in the folder by what became of their process; unreadable: of a running one, but not understood.
# TYPE vcmalloc_stats_files gauge
vcmalloc_stats_files{state="ended"} 1
vcmalloc_stats_files{state="replaced"} 0
vcmalloc_stats_files{state="running"} 1
vcmalloc_stats_files{state="unreadable"} 1
# HELP vcmalloc_objects Objects in the application's hands, of size classes (small) and larger.
# TYPE vcmalloc_objects gauge
vcmalloc_objects{` + labels + `kind="large",` + pid + `} 2
vcmalloc_objects{` + labels + `kind="small",` + pid + `} 300
# HELP vcmalloc_page_heap_used_bytes Spans by where in the page heap they are: in hugepages that spans share, in regions, in hugepages of their own.
# TYPE vcmalloc_page_heap_used_bytes gauge
vcmalloc_page_heap_used_bytes{` + labels + pid + `,where="filler"} 16384
vcmalloc_page_heap_used_bytes{` + labels + pid + `,where="region"} 8192
vcmalloc_page_heap_used_bytes{` + labels + pid + `,where="whole"} 1.040424e+06
# HELP vcmalloc_region_free_bytes Free pages of regions that have memory: a part of filler_free.
# TYPE vcmalloc_region_free_bytes gauge
vcmalloc_region_free_bytes{` + labels + pid + `} 4096
# HELP vcmalloc_hugepages_collapsed_total Hugepages the system put behind small pages on request.
# TYPE vcmalloc_hugepages_collapsed_total counter
vcmalloc_hugepages_collapsed_total{` + labels + pid + `} 3
# HELP vcmalloc_soft_limit_hits_total How often the heap exceeded its soft limit.
# TYPE vcmalloc_soft_limit_hits_total counter
vcmalloc_soft_limit_hits_total{` + labels + pid + `} 6
# HELP vcmalloc_hard_limit_refusals_total Requests refused because of the hard limit.
# TYPE vcmalloc_hard_limit_refusals_total counter
vcmalloc_hard_limit_refusals_total{` + labels + pid + `} 1
# HELP vcmalloc_domain_open Whether a last-level cache domain has transfer caches of its own now.
# TYPE vcmalloc_domain_open gauge
vcmalloc_domain_open{` + labels + `domain="0",` + pid + `} 1
vcmalloc_domain_open{` + labels + `domain="1",` + pid + `} 0
# HELP vcmalloc_domain_cpus CPUs online in a last-level cache domain when the topology was read.
# TYPE vcmalloc_domain_cpus gauge
vcmalloc_domain_cpus{` + labels + `domain="0",` + pid + `} 8
vcmalloc_domain_cpus{` + labels + `domain="1",` + pid + `} 4
# HELP vcmalloc_class_reused_objects_total Objects of a size class that the middle tiers handed out again, by whether the last-level cache domain that freed them was the same.
# TYPE vcmalloc_class_reused_objects_total counter
vcmalloc_class_reused_objects_total{` + labels + `domain="other",` + pid + `,size="16"} 5
vcmalloc_class_reused_objects_total{` + labels + `domain="other",` + pid + `,size="32"} 0
vcmalloc_class_reused_objects_total{` + labels + `domain="same",` + pid + `,size="16"} 15
vcmalloc_class_reused_objects_total{` + labels + `domain="same",` + pid + `,size="32"} 0
# HELP vcmalloc_percpu_misses_total Operations the per-CPU caches could not serve.
# TYPE vcmalloc_percpu_misses_total counter
vcmalloc_percpu_misses_total{` + labels + `operation="allocation",` + pid + `} 7
vcmalloc_percpu_misses_total{` + labels + `operation="free",` + pid + `} 1
# HELP vcmalloc_class_spans Spans of a size class.
# TYPE vcmalloc_class_spans gauge
vcmalloc_class_spans{` + labels + pid + `,size="16"} 1
vcmalloc_class_spans{` + labels + pid + `,size="32"} 1
# HELP vcmalloc_vcpu_drains_total How often a vCPU's cache was emptied because the vCPU was idle.
# TYPE vcmalloc_vcpu_drains_total counter
vcmalloc_vcpu_drains_total{` + labels + pid + `,vcpu="0"} 0
vcmalloc_vcpu_drains_total{` + labels + pid + `,vcpu="7"} 1
# HELP vcmalloc_numa_node_bytes Memory of the page heap of a NUMA node, by what it is used for.
# TYPE vcmalloc_numa_node_bytes gauge
vcmalloc_numa_node_bytes{` + labels + `node="0",part="free",` + pid + `} 300
vcmalloc_numa_node_bytes{` + labels + `node="0",part="spans",` + pid + `} 600
vcmalloc_numa_node_bytes{` + labels + `node="0",part="unbacked",` + pid + `} 100
vcmalloc_numa_node_bytes{` + labels + `node="1",part="free",` + pid + `} 0
vcmalloc_numa_node_bytes{` + labels + `node="1",part="spans",` + pid + `} 10
vcmalloc_numa_node_bytes{` + labels + `node="1",part="unbacked",` + pid + `} 0
# HELP vcmalloc_numa_node_objects_total Objects of a NUMA node's memory: handed to its own CPUs (near), to others (far), freed on others' CPUs and brought back (returned).
# TYPE vcmalloc_numa_node_objects_total counter
vcmalloc_numa_node_objects_total{` + labels + `node="0",` + pid + `,way="far"} 0
vcmalloc_numa_node_objects_total{` + labels + `node="0",` + pid + `,way="near"} 50
vcmalloc_numa_node_objects_total{` + labels + `node="0",` + pid + `,way="returned"} 5
vcmalloc_numa_node_objects_total{` + labels + `node="1",` + pid + `,way="far"} 2
vcmalloc_numa_node_objects_total{` + labels + `node="1",` + pid + `,way="near"} 0
vcmalloc_numa_node_objects_total{` + labels + `node="1",` + pid + `,way="returned"} 0
`
	assert.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(want), "vcmalloc_stats_files", "vcmalloc_page_heap_used_bytes",
		"vcmalloc_region_free_bytes", "vcmalloc_hugepages_collapsed_total", "vcmalloc_soft_limit_hits_total", "vcmalloc_hard_limit_refusals_total",
		"vcmalloc_domain_open", "vcmalloc_domain_cpus", "vcmalloc_class_reused_objects_total", "vcmalloc_objects",
		"vcmalloc_percpu_misses_total", "vcmalloc_class_spans", "vcmalloc_vcpu_drains_total",
		"vcmalloc_numa_node_bytes", "vcmalloc_numa_node_objects_total"))

	families, err := registry.Gather()
	require.NoError(t, err)
	var mapped, parts float64
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetName() {
			case "vcmalloc_heap_mapped_bytes":
				mapped += m.GetGauge().GetValue()
			case "vcmalloc_heap_bytes":
				parts += m.GetGauge().GetValue()
			}
		}
	}
	assert.NotZero(t, mapped)
	assert.Equal(t, mapped, parts, "the sum over the label part is what is mapped")
}

func TestCollectorSendsRowsOnlyWhenAsked(t *testing.T) {
	dir := Dir(t.TempDir())
	writeFile(t, dir, os.Getpid(), bytesOf(sample(os.Getpid())))
	n := func(o CollectorOptions) int { return testutil.CollectAndCount(NewCollector(dir, o)) }
	plain := n(CollectorOptions{})
	assert.Equal(t, plain+2*14, n(CollectorOptions{Classes: true}))
	assert.Equal(t, plain+2*9, n(CollectorOptions{VCPUs: true}))
}

func TestScrapeFailsWhereTheFolderCanNotBeRead(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(NewCollector(Dir(t.TempDir()+"/none"), CollectorOptions{})))
	_, err := registry.Gather()
	assert.ErrorContains(t, err, "no such file")
}
