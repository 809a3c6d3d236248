package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/topology/report"
)

func TestTopologyNamesTheProcessorAndItsDomains(t *testing.T) {
	out := vcmalloc(t, nil, "topology")
	require.Zero(t, out.status, out.stderr)
	require.Contains(t, out.stdout, "source: sysfs")
	require.Contains(t, out.stdout, "allowed here")

	out = vcmalloc(t, nil, "topology", "--json", "--override", "0;1@1")
	require.Zero(t, out.status, out.stderr)
	var r report.Report
	require.NoError(t, json.Unmarshal([]byte(out.stdout), &r))
	require.True(t, r.Overridden)
	require.GreaterOrEqual(t, len(r.Domains), 2)
	require.Equal(t, "0", r.Domains[0].CPUs)
	require.Equal(t, "1", r.Domains[1].CPUs)
}

func TestTopologySaysWhereAnOverrideIsWrong(t *testing.T) {
	out := vcmalloc(t, []string{"VCMALLOC_TOPOLOGY=0-3;x"}, "topology")
	require.Equal(t, 1, out.status)
	require.Contains(t, out.stderr, "VCMALLOC_TOPOLOGY=0-3;x: character 5: want a CPU number")
}
