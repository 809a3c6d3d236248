package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vcmalloc/vcmalloc/bench/lab"
)

// goCommand runs the comparison of the Go door with what Go programs use. Its peers are Go libraries, so it is a
// program and a module of its own.
func goCommand(o *options) *cobra.Command {
	var samples string
	var only, cases, who string
	c := &cobra.Command{
		Use: "go", Short: "The Go door against make, sync.Pool, other off-heap libraries and cgo; a large cache and the collector", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			root, err := lab.Root()
			if err != nil {
				return err
			}
			args := []string{"run", "."}
			if o.quick || o.tiny {
				args = append(args, "-quick")
			}
			if o.tiny {
				args = append(args, "-objects", "10000", "-rounds", "2")
			}
			if o.rounds > 0 {
				args = append(args, "-rounds", strconv.Itoa(o.rounds))
			}
			if only != "" {
				args = append(args, "-only", only)
			}
			if cases != "" {
				args = append(args, "-cases", cases)
			}
			if who != "" {
				args = append(args, "-peers", who)
			}
			if samples != "" {
				path, err := filepath.Abs(samples)
				if err != nil {
					return err
				}
				args = append(args, "-o", path)
			}
			cmd := exec.CommandContext(c.Context(), "go", args...)
			cmd.Dir = filepath.Join(root, "bench", "godoor")
			cmd.Env = append(os.Environ(), "GOWORK=off")
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			return cmd.Run()
		},
	}
	c.Flags().StringVar(&only, "part", "", "only this part: pair or cache")
	c.Flags().StringVar(&cases, "cases", "", "only pairs whose name matches this expression: pair/64/1 is kind, bytes, goroutines")
	c.Flags().StringVar(&who, "peers", "", "only these peers of pairs, with commas between")
	c.Flags().StringVar(&samples, "samples", "", "write the samples to this file in Go's benchmark format, for benchstat")
	return c
}
