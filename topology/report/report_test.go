package report

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/topology"
)

// machine has four CPUs in two nodes.
func machine(t *testing.T) string {
	root := t.TempDir()
	for path, text := range map[string]string{
		"cpu/possible": "0-5", "cpu/online": "0-3", "node/has_cpu": "0-1", "node/node0/cpulist": "0,2", "node/node1/cpulist": "1,3",
	} {
		require.NoError(t, os.MkdirAll(root+"/"+path[:strings.LastIndex(path, "/")], 0o755))
		require.NoError(t, os.WriteFile(root+"/"+path, []byte(text+"\n"), 0o644))
	}
	return root
}

func TestAMachine(t *testing.T) {
	r, err := Read(machine(t), "")
	require.NoError(t, err)
	require.Equal(t, 4, r.CPUs)
	require.Equal(t, 2, r.Nodes)
	require.Len(t, r.Domains, 2)
	require.Equal(t, "0,2", r.Domains[0].CPUs)
	require.Equal(t, []int{1}, r.Domains[1].Nodes)
	require.Equal(t, "1,3", r.Domains[1].CPUs)
	require.False(t, r.Overridden)

	var text strings.Builder
	require.NoError(t, r.Text(&text))
	require.Contains(t, text.String(), "4 CPUs online, NUMA nodes: 2, last-level cache domains: 2 (source: sysfs)")
	require.Contains(t, text.String(), "1,3")
}

func TestAnOverride(t *testing.T) {
	r, err := Read(machine(t), "0-2;3@7")
	require.NoError(t, err)
	require.True(t, r.Overridden)
	require.Equal(t, "0-2", r.Domains[0].CPUs)
	require.Equal(t, []int{0, 1}, r.Domains[0].Nodes)
	require.Equal(t, []int{7}, r.Domains[1].Nodes)
}

func TestABadOverrideTellsWhere(t *testing.T) {
	r, err := Read(machine(t), "0-2;9-8")
	require.EqualError(t, err, "VCMALLOC_TOPOLOGY=0-2;9-8: character 8: want ranges that end at or above their start")
	require.Len(t, r.Domains, 2)
	require.False(t, r.Overridden)
}

func TestThisMachineHasAProcessorAndAllowedCPUs(t *testing.T) {
	r, err := Read("", "")
	require.NoError(t, err)
	allowed := ""
	for _, d := range r.Domains {
		allowed += d.Allowed
	}
	require.NotEmpty(t, allowed)
	require.NotEmpty(t, r.Processor.Vendor)
	var b strings.Builder
	require.NoError(t, r.JSON(&b))
	var back Report
	require.NoError(t, json.Unmarshal([]byte(b.String()), &back))
	require.Equal(t, *r, back)
	b.Reset()
	require.NoError(t, r.Text(&b))
	t.Log("\n" + b.String())
}

func TestNothingToRead(t *testing.T) {
	r, err := Read("/does/not/exist", "")
	require.NoError(t, err)
	require.Len(t, r.Domains, 1)
	var b strings.Builder
	require.NoError(t, r.Text(&b))
	require.Contains(t, b.String(), "source: none")
}

func TestOnlyAllowedCPUsAreShown(t *testing.T) {
	top, allowed := new(topology.Topology), new(topology.Set)
	require.NoError(t, withNUL("0-3;4-7", func(p uintptr) bool { top.Override(p); return true }))
	allowed.Add(2)
	allowed.Add(3)
	allowed.Add(9)
	r := New(top, allowed)
	require.Equal(t, "2-3", r.Domains[0].Allowed)
	require.Empty(t, r.Domains[1].Allowed)
}
