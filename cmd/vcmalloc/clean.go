package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newClean() *cobra.Command {
	c := &cobra.Command{
		Use:   "clean",
		Short: "Remove the files of processes that have ended",
		Long: "A process removes its file when it ends in the regular way. One that is killed, or leaves by _exit as\n" +
			"forked children of shells do, leaves its last numbers behind; this removes them.",
		Args: arguments(cobra.NoArgs),
	}
	dir := dirFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		d, err := openDir(*dir)
		if err != nil {
			return err
		}
		removed, err := d.Clean()
		fmt.Fprintf(c.OutOrStdout(), "%d removed from %s\n", len(removed), d)
		return err
	}
	return c
}
