package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vcmalloc/vcmalloc/telemetry"
)

const statsDirVariable = "VCMALLOC_STATS_DIR"

func main() { os.Exit(command(os.Args[1:])) }

// command runs one command line and returns the exit status.
func command(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "vcmalloc:", oneLine(err.Error()))
	var s *statusError
	if errors.As(err, &s) {
		return s.status
	}
	return 1
}

// statusError is an error with an exit status of its own.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// usage is an error in the command line.
func usage(format string, args ...any) error { return &statusError{2, fmt.Errorf(format, args...)} }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "vcmalloc",
		Short: "Run programs with the vcmalloc allocator and watch their heaps",
		// Errors are printed by command, in one line.
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("there is no command %q; vcmalloc --help lists them", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%v; %s --help lists the flags", err, c.CommandPath())
	})
	root.AddCommand(newRun(), newStats(), newReport(), newTop(), newExport(), newClean(), newTopology(), newVersion())
	return root
}

// arguments turns cobra's complaints about positional arguments into usage errors.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usage("%s: %v; %s --help shows the arguments", c.Name(), err, c.CommandPath())
		}
		return nil
	}
}

// dirFlag gives a command the flag --dir.
func dirFlag(c *cobra.Command) *string {
	return c.Flags().String("dir", os.Getenv(statsDirVariable), "folder the processes publish in; not given: $"+statsDirVariable)
}

// openDir checks the folder once, for an error that says what to do.
func openDir(dir string) (telemetry.Dir, error) {
	if dir == "" {
		return "", usage("no folder of statistics: name it with --dir or %s, the one the programs were started with", statsDirVariable)
	}
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s: there is no such folder; name the one in the programs' %s", dir, statsDirVariable)
	case err != nil:
		return "", err
	case !st.IsDir():
		return "", fmt.Errorf("%s is not a folder; name the one in the programs' %s", dir, statsDirVariable)
	}
	return telemetry.Dir(dir), nil
}

// interruptible is a context that ends when the user or the system asks the command to stop.
func interruptible(c *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
}
