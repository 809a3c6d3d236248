package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/vcmalloc/vcmalloc/bench/report"
)

// showCommand reads a report.json, judges its rounds again and shows it.
func showCommand() *cobra.Command {
	var out string
	var markdown bool
	c := &cobra.Command{
		Use: "show REPORT.json", Short: "Shows a report again, from its rounds", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			rep, err := report.ReadJSON(f)
			if err != nil {
				return err
			}
			for _, s := range rep.Suites {
				s.Judge()
			}
			if markdown {
				rep.WriteMarkdown(os.Stdout)
			} else {
				rep.WriteText(os.Stdout)
			}
			if out == "" {
				return nil
			}
			return rep.Save(out)
		},
	}
	c.Flags().StringVar(&out, "to", "", "also write report.json and report.html to this directory")
	c.Flags().BoolVar(&markdown, "markdown", false, "in Markdown, as in docs/benchmarks.md")
	return c
}
