package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vcmalloc/vcmalloc/telemetry"
)

func newReport() *cobra.Command {
	var over time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "report [PID]",
		Short: "Show what changes in a process's heap over a time",
		Long: "Reads the numbers twice and shows the difference: what the heap gained and lost, and how often caches\n" +
			"missed. Processes renew their numbers about once a second while they allocate.",
		Args: arguments(cobra.MaximumNArgs(1)),
	}
	dir := dirFlag(c)
	c.Flags().DurationVar(&over, "over", 10*time.Second, "how long to wait between the two readings")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		if over <= 0 {
			return usage("--over %v: use a time above 0, such as 10s", over)
		}
		d, err := openDir(*dir)
		if err != nil {
			return err
		}
		ctx, stop := interruptible(c)
		defer stop()
		delta, err := watch(ctx, d, args, over)
		if err != nil {
			return err
		}
		if asJSON {
			return telemetry.WriteJSON(c.OutOrStdout(), delta)
		}
		return telemetry.WriteDelta(c.OutOrStdout(), delta)
	}
	return c
}

// watch is what changes in the process within the time, or until the user interrupts.
func watch(ctx context.Context, d telemetry.Dir, args []string, over time.Duration) (*telemetry.Delta, error) {
	before, err := choose(d, args)
	if err != nil {
		return nil, err
	}
	if before.State != telemetry.Running {
		return nil, fmt.Errorf("process %d: %s; its last numbers are in vcmalloc stats %d", before.PID, before.State, before.PID)
	}
	// Open from the start: the file is removed when the process ends, the last numbers stay readable.
	r, err := telemetry.Open(before.Path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	select {
	case <-ctx.Done():
	case <-time.After(over):
	}
	after, err := r.Read()
	if err != nil {
		return nil, err
	}
	delta, err := after.Since(before.Snapshot)
	if err == nil && delta.Interval == 0 {
		err = errors.New("the process wrote no new numbers meanwhile: it is idle, or the time was too short (--over)")
	}
	return delta, err
}
