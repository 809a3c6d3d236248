package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"

	"github.com/vcmalloc/vcmalloc/bench/cc"
	"github.com/vcmalloc/vcmalloc/bench/stat"
)

// Probe measures the machine's costs with bench/load's probe, micro and empty shim.
func (m *Machine) Probe(ctx context.Context, c *cc.Compiler) error {
	probe, err := c.Program(ctx, "probe.c")
	if err != nil {
		return err
	}
	micro, err := c.Program(ctx, "micro.cc")
	if err != nil {
		return err
	}
	shim, err := c.Shared(ctx, "shim_empty.c")
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, probe).Output()
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	var counters int
	if _, err := fmt.Sscan(string(out), &m.Touch4KNanos, &m.TouchHugeNanos, &m.MmapNanos, &counters); err != nil {
		return fmt.Errorf("probe said %q: %w", out, err)
	}
	m.Counters = counters == 1
	var floor []float64
	for range 5 {
		cmd := exec.CommandContext(ctx, micro, "pair", "64", "20")
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+shim)
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("the empty malloc: %w", err)
		}
		var figure struct{ NS float64 }
		if err := json.Unmarshal(out, &figure); err != nil {
			return err
		}
		floor = append(floor, figure.NS)
	}
	m.FloorNanos = stat.Median(floor)
	return nil
}
