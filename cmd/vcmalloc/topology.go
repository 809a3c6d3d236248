package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/vcmalloc/vcmalloc/topology/report"
)

func newTopology() *cobra.Command {
	var override string
	var asJSON bool
	c := &cobra.Command{
		Use:   "topology",
		Short: "Show which CPUs share a last-level cache, as the transfer caches see it",
		Args:  arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := report.Read("", override)
			if err != nil {
				return err
			}
			if asJSON {
				return r.JSON(c.OutOrStdout())
			}
			return r.Text(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&override, "override", os.Getenv("VCMALLOC_TOPOLOGY"),
		"domains to take instead of sysfs's, such as 0-3;4-7; not given: $VCMALLOC_TOPOLOGY")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
