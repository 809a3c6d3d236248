package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/vcmalloc/vcmalloc/bench/fleet"
	"github.com/vcmalloc/vcmalloc/bench/lab"
)

// recordCommand takes the trace of a program, for `bench fleet --trace`.
func recordCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "record [-o FILE] -- COMMAND [ARG...]", Short: "Records the allocations of a program, for `bench fleet --trace FILE`",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			root, err := lab.Root()
			if err != nil {
				return err
			}
			l, err := lab.New(c.Context(), root, lab.Full)
			if err != nil {
				return err
			}
			t, err := fleet.Record(c.Context(), l, args, out)
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "bench: %d events of %d threads in %s\n", len(t.Events), t.Threads, out)
			return nil
		},
	}
	c.Flags().StringVarP(&out, "out-file", "o", "program.trace", "where the trace goes")
	return c
}
