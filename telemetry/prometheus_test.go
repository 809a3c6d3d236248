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
`
	assert.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(want), "vcmalloc_stats_files", "vcmalloc_objects",
		"vcmalloc_percpu_misses_total", "vcmalloc_class_spans", "vcmalloc_vcpu_drains_total"))

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
	assert.Equal(t, plain+2*12, n(CollectorOptions{Classes: true}))
	assert.Equal(t, plain+2*9, n(CollectorOptions{VCPUs: true}))
}

func TestScrapeFailsWhereTheFolderCanNotBeRead(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(NewCollector(Dir(t.TempDir()+"/none"), CollectorOptions{})))
	_, err := registry.Gather()
	assert.ErrorContains(t, err, "no such file")
}
