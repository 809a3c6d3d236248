package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vcmalloc/vcmalloc/bench/lab"
)

// setupCommand installs what bench/packages.txt lists, by the script that the tests' programs are installed with.
func setupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "setup", Short: "Installs the Debian packages that bench uses (as root; otherwise names them)", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			root, err := lab.Root()
			if err != nil {
				return err
			}
			cmd := exec.CommandContext(c.Context(), filepath.Join(root, "scripts", "packages.sh"), filepath.Join(root, "bench", "packages.txt"))
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("installing packages: %w", err)
			}
			fmt.Println("bench: packages looked after; now `go run ./bench --quick all`")
			return nil
		},
	}
}
