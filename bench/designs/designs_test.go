package designs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
	"github.com/vcmalloc/vcmalloc/telemetry"
	"github.com/vcmalloc/vcmalloc/telemetry/block"
)

func TestWordsChooseDesigns(t *testing.T) {
	all, words := chosen([]string{"redis, mixed", "key-value"})
	assert.Len(t, all, len(designs))
	assert.Empty(t, words)
	some, words := chosen([]string{"nuca, redis", "all"})
	assert.Equal(t, []*Design{&nuca, &everything}, some)
	assert.Equal(t, []string{"nuca", "all"}, words)
}

func TestMetricsHaveOneOwner(t *testing.T) {
	seen := map[string]bool{}
	for _, i := range instruments {
		for _, m := range i.Metrics {
			assert.False(t, seen[m.Name], m.Name)
			seen[m.Name] = true
			assert.True(t, i.Bars == "" || m.Unit == i.Metrics[0].Unit, m.Name)
		}
	}
}

func TestHalves(t *testing.T) {
	assert.Equal(t, "0;1", halves(2))
	assert.Equal(t, "0-1;2-4", halves(5))
	assert.Equal(t, "0", halves(1))
}

func snapshot(pid int, second int, frees, perCPU uint64) *telemetry.Snapshot {
	return &telemetry.Snapshot{PID: pid, Updated: time.Unix(int64(second), 0), Writes: uint64(second),
		Totals: telemetry.Totals{SpansFreed: frees, PerCPU: perCPU},
		VCPUs:  []telemetry.VCPU{{ID: 0, Capacity: perCPU, Underflows: frees}}}
}

func TestMeansAndRatesSumOverProcesses(t *testing.T) {
	w := tierMemory.Watch()
	w.Look(0, []*telemetry.Snapshot{snapshot(1, 10, 100, 1<<20)})
	w.Look(1, []*telemetry.Snapshot{snapshot(1, 12, 300, 1<<20), snapshot(2, 12, 1000, 2<<20)})
	w.Look(2, []*telemetry.Snapshot{snapshot(1, 12, 300, 1<<20), snapshot(2, 14, 1600, 2<<20)})
	got, _ := w.Result()
	assert.InDelta(t, 7.0/3, got["per-CPU caches"], 1e-9)
	assert.InDelta(t, 100+300, got["spans returned"], 1e-9)
}

func TestRatesOfShortRunsAreOverTheirLife(t *testing.T) {
	w := tierMemory.Watch()
	b := snapshot(1, 12, 300, 1<<20)
	b.Started = b.Updated.Add(-200 * time.Millisecond)
	w.End([]*telemetry.Snapshot{b})
	got, _ := w.Result()
	assert.InDelta(t, 1500, got["spans returned"], 1e-9)
	assert.NotContains(t, got, "per-CPU caches", "what it held at its end says nothing of its life")
}

func TestTheEndAddsNothingToALongRun(t *testing.T) {
	w := tierMemory.Watch()
	w.Look(0, []*telemetry.Snapshot{snapshot(1, 10, 100, 1<<20)})
	w.Look(1, []*telemetry.Snapshot{snapshot(1, 12, 300, 1<<20)})
	w.End([]*telemetry.Snapshot{snapshot(1, 13, 9000, 0)})
	got, _ := w.Result()
	assert.InDelta(t, 100, got["spans returned"], 1e-9)
	assert.InDelta(t, 1, got["per-CPU caches"], 1e-9)
}

// A program that is preloaded with the library ends within the first tick: what it wrote at its end is seen.
func TestProcessesAreReadAfterTheirEnd(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vcmalloc.1")
	b := block.Block{Magic: block.Magic, Version: block.Version, Bytes: uint32(unsafe.Sizeof(block.Block{})), PID: 1, Sequence: 2}
	write := func() {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
		require.NoError(t, err)
		_, err = f.WriteAt(unsafe.Slice((*byte)(unsafe.Pointer(&b)), unsafe.Sizeof(b)), 0)
		require.NoError(t, errors.Join(err, f.Close()))
	}
	write()
	p := newProcesses(telemetry.Dir(dir))
	defer p.close()
	assert.Empty(t, p.look(), "not renewed yet")
	b.Sequence, b.Total.Crossed = 4, 7
	write()
	require.NoError(t, os.Remove(path))
	assert.Empty(t, p.look(), "it does not run any more")
	last := p.last()
	require.Len(t, last, 1)
	assert.EqualValues(t, 7, last[0].Totals.Crossed)
}

func TestCurvesFollowTheRenewals(t *testing.T) {
	w := &vcpuCurves{}
	for i, frees := range []uint64{10, 30, 30, 90} {
		b := snapshot(1, 10+i, frees, 1<<20)
		if i == 2 { // the block as before, read by the clocks of another moment
			b = snapshot(1, 11, frees, 1<<20)
			b.Updated = b.Updated.Add(time.Nanosecond)
		}
		w.Look(time.Duration(i)*time.Second, []*telemetry.Snapshot{b})
	}
	_, plots := w.Result()
	assert.Len(t, plots, 2)
	assert.Equal(t, []report.Series{{Name: "vCPU 0", X: report.Values{1, 3}, Y: report.Values{20, 30}}}, plots[1].Series)
}

func TestTableHasTheColumnsThatHaveFigures(t *testing.T) {
	c := &report.Case{Name: "w", Metrics: []*report.Metric{
		{Name: "throughput", Direction: stat.Higher, Main: true, Values: map[string]report.Values{legacy: {10, 10, 10}, "nuca": {11, 11, 11}}},
	}}
	s := &report.Suite{Baseline: legacy, Subjects: []subject.Subject{{Name: legacy}, {Name: "nuca"}}, Cases: []*report.Case{c, {
		Name: "w2", Metrics: []*report.Metric{{Name: "throughput", Direction: stat.Higher, Values: map[string]report.Values{legacy: {10, 10, 10}, "nuca": {9, 10, 11}}}},
	}}}
	s.Judge()
	x := table(s, &nuca)
	assert.Equal(t, []string{"workload", "throughput"}, x.Header)
	assert.Equal(t, "+10.00 % [+10.00, +10.00]", x.Rows[0][1])
	assert.Contains(t, x.Rows[1][1], "no difference")
	assert.Contains(t, x.Rows[2][1], "(2)")
}

func TestBarsShowTheSubjectsThatHaveAllParts(t *testing.T) {
	m := runner.Metric{Name: "part", Unit: "MiB"}
	s := &report.Suite{Baseline: "a", Subjects: []subject.Subject{{Name: "a"}, {Name: "b"}}, Cases: []*report.Case{
		{Name: "w", Metrics: []*report.Metric{{Name: "part", Values: map[string]report.Values{"a": {1, 2, 3}}}}},
	}}
	s.Judge()
	got := bars(s, Instrument{Metrics: []runner.Metric{m}, Bars: "parts"})
	assert.Len(t, got, 1)
	assert.Equal(t, []report.Series{{Name: "a", Y: report.Values{2}}}, got[0].Series)
}
