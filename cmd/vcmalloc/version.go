package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vcmalloc/vcmalloc/telemetry/block"
)

// version is that of the library: a test holds it against include/vcmalloc.h.
const version = "0.1.0"

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and which library run would use",
		Args:  arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			library, err := findLibrary("")
			if err != nil {
				library = "none (" + err.Error() + ")"
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "vcmalloc %s, statistics block version %d\nlibrary: %s\n", version, block.Version, library)
			return err
		},
	}
}
