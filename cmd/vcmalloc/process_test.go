package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/telemetry"
)

// One preloaded program from its first block to its end, seen by every subcommand.
func TestAProcessAndItsChildFromStartToEnd(t *testing.T) {
	needLibrary(t)
	if tools.noProbe != "" {
		t.Skipf("gcc is needed: %s", tools.noProbe)
	}
	t.Parallel()
	folder := t.TempDir() + "/made/by/run"
	dir := telemetry.Dir(folder)
	b := start(t, "run", "--lib", tools.library, "--stats-dir", folder, "--", tools.probe)
	pids := map[string]int{}
	for range 2 {
		who, id, _ := strings.Cut(b.line(t), " ")
		pid, err := strconv.Atoi(id)
		require.NoError(t, err)
		pids[who] = pid
	}
	require.Equal(t, b.Process.Pid, pids["parent"], "run becomes the program")

	t.Run("both publish", func(t *testing.T) {
		for who, pid := range pids {
			// The process rests since its line: the second block from now on was begun after that.
			first := uint64(0)
			var p telemetry.Process
			eventually(t, who+" renews its block", func() bool {
				p = dir.Process(pid)
				if p.Snapshot != nil && first == 0 {
					first = p.Snapshot.Writes
				}
				return p.Snapshot != nil && p.Snapshot.Writes >= first+2
			})
			s := p.Snapshot
			assert.Equal(t, telemetry.Running, p.State)
			assert.Equal(t, "probe", p.Command)
			assert.NoError(t, s.Check(), "%s: to the byte", who)
			assert.Zero(t, s.Totals.Imbalance())
			assert.GreaterOrEqual(t, s.Totals.UsedObjects, uint64(10000), who)
			assert.GreaterOrEqual(t, s.Totals.Large, uint64(3<<20), who)
			assert.NotEmpty(t, s.VCPUs)
			assert.NotZero(t, s.Totals.Underflows)

			st, err := os.Stat(p.Path)
			require.NoError(t, err)
			assert.Equal(t, fs.FileMode(0o600), st.Mode())
		}
		st, err := os.Stat(folder)
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o700), st.Mode().Perm())
		assert.Greater(t, dir.Process(pids["child"]).Snapshot.Totals.UsedObjects,
			dir.Process(pids["parent"]).Snapshot.Totals.UsedObjects, "the child has its own numbers")
	})
	t.Run("stats", func(t *testing.T) {
		parent := strconv.Itoa(pids["parent"])
		o := vcmalloc(t, nil, "stats", parent, "--dir", folder)
		assert.Equal(t, 0, o.status, o.stderr)
		assert.Contains(t, o.stdout, "process "+parent+" probe (running)")

		o = vcmalloc(t, []string{"VCMALLOC_STATS_DIR=" + folder}, "stats", "--all", "--json")
		var all []telemetry.Process
		require.NoError(t, json.Unmarshal([]byte(o.stdout), &all))
		assert.Len(t, all, 2)

		o = vcmalloc(t, nil, "stats", "--dir", folder)
		assert.Equal(t, 2, o.status)
		assert.Contains(t, o.stderr, "several processes")
	})
	t.Run("top", func(t *testing.T) {
		o := vcmalloc(t, nil, "top", "--once", "--dir", folder)
		assert.Equal(t, 0, o.status, o.stderr)
		assert.Contains(t, o.stdout, "2 running")
		for _, pid := range pids {
			assert.Regexp(t, fmt.Sprintf(`\n%d +probe +running `, pid), o.stdout)
		}
		assert.NotContains(t, o.stdout, "\x1b", "standard output is no terminal")
	})
	t.Run("report", func(t *testing.T) {
		o := vcmalloc(t, nil, "report", strconv.Itoa(pids["parent"]), "--over", "1500ms", "--dir", folder, "--json")
		require.Equal(t, 0, o.status, o.stderr)
		var d telemetry.Delta
		require.NoError(t, json.Unmarshal([]byte(o.stdout), &d))
		assert.NotZero(t, d.Interval)
		assert.Zero(t, d.InUse, "the process rests")
	})
	t.Run("export", func(t *testing.T) { scrape(t, folder, pids) })

	require.NoError(t, b.stdin.Close())
	for range b.lines {
	}
	err := b.Wait()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, b.stderr)
	assert.Equal(t, 42, exit.ExitCode(), "the program's own status")
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, entries, "files are removed at a regular end")
}

// scrape starts the exporter, asks it as Prometheus does, and parses what comes with Prometheus's parser.
func scrape(t *testing.T, folder string, pids map[string]int) {
	c := exec.Command(tools.vcmalloc, "export", "--listen", "127.0.0.1:0", "--dir", folder, "--classes", "--vcpus")
	stderr, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	defer func() { _ = c.Process.Kill() }()
	line := make([]byte, 200)
	n, err := stderr.Read(line)
	require.NoError(t, err)
	_, url, ok := strings.Cut(strings.TrimSpace(string(line[:n])), "serving ")
	require.True(t, ok, "%s", line[:n])

	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	require.NoError(t, err)
	assert.Len(t, families["vcmalloc_heap_mapped_bytes"].GetMetric(), len(pids))
	assert.NotEmpty(t, families["vcmalloc_class_objects"].GetMetric())
	assert.NotEmpty(t, families["vcmalloc_vcpu_capacity_bytes"].GetMetric())
	sums := map[string]float64{}
	for name, sign := range map[string]float64{"vcmalloc_heap_mapped_bytes": 1, "vcmalloc_heap_bytes": -1} {
		for _, m := range families[name].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "pid" {
					sums[l.GetValue()] += sign * m.GetGauge().GetValue()
				}
			}
		}
	}
	assert.Len(t, sums, len(pids))
	for pid, sum := range sums {
		assert.Zero(t, sum, "process %s rests: its parts add up", pid)
	}

	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	assert.NoError(t, c.Wait(), "a regular end")
}

func TestAKilledProcessLeavesItsLastNumbers(t *testing.T) {
	needLibrary(t)
	t.Parallel()
	folder := t.TempDir()
	o := vcmalloc(t, nil, "run", "--lib", tools.library, "--stats-dir", folder, "--", "sh", "-c", "kill -9 $$")
	assert.Equal(t, 128+9, o.status, "the program's own signal")

	o = vcmalloc(t, nil, "stats", "--all", "--dir", folder)
	assert.Contains(t, o.stdout, "(ended)")
	o = vcmalloc(t, nil, "stats", "--dir", folder)
	assert.Equal(t, 1, o.status)
	assert.Contains(t, o.stderr, "no running process")
	o = vcmalloc(t, nil, "top", "--once", "--dir", folder)
	assert.Contains(t, o.stdout, "0 running, 1 left")
	o = vcmalloc(t, nil, "clean", "--dir", folder)
	assert.True(t, strings.HasPrefix(o.stdout, "1 removed"), o.stdout)
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestTopRepeatsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	b := start(t, "top", "--interval", "100ms", "--dir", t.TempDir())
	tables := 0
	for tables < 3 {
		if strings.Contains(b.line(t), "0 running") {
			tables++
		}
	}
	require.NoError(t, b.Process.Signal(os.Interrupt))
	for range b.lines {
	}
	assert.NoError(t, b.Wait())
}

func TestTopFillsTheTerminalAndNoMore(t *testing.T) {
	var out bytes.Buffer
	table := topTable{out: &out, rows: 3, columns: 20}
	dir := t.TempDir()
	for pid := range 9 {
		require.NoError(t, os.WriteFile(fmt.Sprintf("%s/vcmalloc.%d", dir, pid+1), []byte("junk"), 0o600))
	}
	require.NoError(t, table.show(telemetry.Dir(dir)))
	text := out.String()
	assert.True(t, strings.HasPrefix(text, "\x1b[H") && strings.HasSuffix(text, "\x1b[J"), "%q", text)
	assert.Equal(t, 2, strings.Count(text, "\n"))
	for line := range strings.Lines(strings.TrimSuffix(strings.TrimPrefix(text, "\x1b[H"), "\x1b[J")) {
		assert.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\x1b[K\n"))), 20)
	}
}
