package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit statuses of run, those of env(1).
const (
	statusOwnError    = 125
	statusNoExecution = 126
	statusNotFound    = 127
	privateFolder     = 0o700 // statistics tell what a program does with its memory
)

type runFlags struct {
	lib, statsDir, features, check string
	statsExit                      bool
}

func newRun() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [flags] -- PROGRAM [ARGS...]",
		Short: "Run a program with vcmalloc preloaded",
		Long: "Runs PROGRAM with libvcmalloc.so in place of the C library's malloc. The command becomes the program:\n" +
			"its process id, signals and exit status are the program's. Settings not given here are inherited from\n" +
			"the VCMALLOC_* variables (docs/tuning.md).\n\n" +
			"The library is looked for in --lib, $VCMALLOC_LIB, beside this command, in ../lib, build and ../build.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &statusError{statusOwnError, errors.New("run: no program is named; write vcmalloc run [flags] -- PROGRAM ARGS")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return run(c, &f, args) },
	}
	flags := c.Flags()
	flags.SetInterspersed(false) // what follows PROGRAM is its own
	flags.StringVar(&f.lib, "lib", "", "the library, or the folder it is in")
	flags.StringVar(&f.statsDir, "stats-dir", "", "publish statistics in this folder (VCMALLOC_STATS_DIR); made if it is not there")
	flags.BoolVar(&f.statsExit, "stats-exit", false, "print statistics when the program ends (VCMALLOC_STATS=exit)")
	flags.StringVar(&f.features, "features", "", "switch designs, such as -nuca,-span_priority (VCMALLOC_FEATURES)")
	flags.StringVar(&f.check, "check", "", "find misuse: 1 (and abort), report (and go on) or 0 (VCMALLOC_CHECK)")
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &statusError{statusOwnError, fmt.Errorf("run: %w; write the program's own flags after --", err)}
	})
	return c
}

// run does not return if all goes well.
func run(c *cobra.Command, f *runFlags, args []string) error {
	program, err := exec.LookPath(args[0])
	if errors.Is(err, exec.ErrDot) { // found in a folder the user's PATH names: execvp would take it, too
		err = nil
	}
	if err != nil {
		return notExecutable(args[0], err)
	}
	library, err := findLibrary(f.lib)
	if err != nil {
		return &statusError{statusOwnError, err}
	}
	settings, err := f.settings(c)
	if err != nil {
		return &statusError{statusOwnError, err}
	}
	if why := unpreloadable(program); why != "" {
		fmt.Fprintf(os.Stderr, "vcmalloc: warning: %s %s; it runs with its own malloc\n", program, why)
	}
	env := append(os.Environ(), settings...)
	env = unique(append(env, "LD_PRELOAD="+preload(library, os.Getenv("LD_PRELOAD"))))
	err = syscall.Exec(program, args, env)
	if errors.Is(err, syscall.ENOEXEC) { // a script without #!, which execvp gives to the shell
		err = syscall.Exec("/bin/sh", append([]string{"sh", program}, args[1:]...), env)
	}
	return notExecutable(program, err)
}

// settings are the VCMALLOC_* variables that the flags stand for.
func (f *runFlags) settings(c *cobra.Command) (env []string, err error) {
	set := func(name, value string) { env = append(env, name+"="+value) }
	if c.Flags().Changed("stats-dir") {
		// Absolute, for the program and its children may change their folder.
		dir, err := filepath.Abs(f.statsDir)
		if err == nil {
			err = os.MkdirAll(dir, privateFolder)
		}
		if err != nil {
			return nil, fmt.Errorf("--stats-dir: %w; name a folder this user may write", err)
		}
		set(statsDirVariable, dir)
	}
	if f.statsExit {
		set("VCMALLOC_STATS", "exit")
	}
	if c.Flags().Changed("features") {
		set("VCMALLOC_FEATURES", f.features)
	}
	switch f.check {
	case "":
	case "0", "1", "report":
		set("VCMALLOC_CHECK", f.check)
	default:
		return nil, fmt.Errorf("--check=%s: use 0, 1 or report", f.check)
	}
	return env, nil
}

// unique keeps the last setting of each variable, where the first stood: the C library would find the first.
// It drops the variable that is ours alone: the library complains about names it does not know.
func unique(env []string) []string {
	at := map[string]int{}
	var out []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if name == libraryVariable {
			continue
		}
		if i, ok := at[name]; ok {
			out[i] = e
			continue
		}
		at[name] = len(out)
		out = append(out, e)
	}
	return out
}

func notExecutable(program string, err error) error {
	if e := (*exec.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	status := statusNoExecution
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		status = statusNotFound
	}
	return &statusError{status, fmt.Errorf("%s can't be run: %w", program, err)}
}
