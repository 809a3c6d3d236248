package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vcmalloc/vcmalloc/telemetry"
)

func newStats() *cobra.Command {
	var all, asJSON bool
	c := &cobra.Command{
		Use:   "stats [PID] [--all]",
		Short: "Show the numbers of one process, or of all",
		Long: "Shows where the memory of a process's heap is, and its size classes and vCPUs. Without PID: of the only\n" +
			"process that publishes in the folder. A process that was killed has left its last numbers behind.",
		Args: arguments(cobra.MaximumNArgs(1)),
	}
	dir := dirFlag(c)
	c.Flags().BoolVar(&all, "all", false, "every process in the folder")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON: one object, or a list with --all")
	c.RunE = func(c *cobra.Command, args []string) error {
		if all && len(args) > 0 {
			return usage("stats: name a process or use --all, not both")
		}
		d, err := openDir(*dir)
		if err != nil {
			return err
		}
		if all {
			return statsAll(c, d, asJSON)
		}
		p, err := choose(d, args)
		if err != nil {
			return err
		}
		if asJSON {
			return telemetry.WriteJSON(c.OutOrStdout(), p)
		}
		return telemetry.WriteText(c.OutOrStdout(), p)
	}
	return c
}

func statsAll(c *cobra.Command, d telemetry.Dir, asJSON bool) error {
	processes, err := d.Processes()
	if err != nil {
		return err
	}
	if asJSON {
		return telemetry.WriteJSON(c.OutOrStdout(), processes)
	}
	for i := range processes {
		p := &processes[i]
		if i > 0 {
			fmt.Fprintln(c.OutOrStdout())
		}
		if p.Err != nil {
			fmt.Fprintf(c.OutOrStdout(), "process %d %s (%s): %v\n", p.PID, p.Command, p.State, p.Err)
			continue
		}
		if err := telemetry.WriteText(c.OutOrStdout(), p); err != nil {
			return err
		}
	}
	if len(processes) == 0 {
		fmt.Fprintf(os.Stderr, "vcmalloc: no process publishes in %s\n", d)
	}
	return nil
}

// choose is the process that the command line names, or the only one there is.
func choose(d telemetry.Dir, args []string) (*telemetry.Process, error) {
	if len(args) == 0 {
		return only(d)
	}
	pid, err := strconv.ParseInt(args[0], 10, 32)
	if err != nil || pid <= 0 {
		return nil, usage("%q is not a process id", args[0])
	}
	p := d.Process(int(pid))
	switch {
	case errors.Is(p.Err, fs.ErrNotExist):
		return nil, fmt.Errorf("process %d does not publish in %s: start it with vcmalloc run --stats-dir %s", pid, d, d)
	case errors.Is(p.Err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: the file is readable for its owner alone; use that account, or root", p.Path)
	case p.Err != nil:
		return nil, p.Err
	}
	return &p, nil
}

func only(d telemetry.Dir) (*telemetry.Process, error) {
	processes, err := d.Processes()
	if err != nil {
		return nil, err
	}
	var found []*telemetry.Process
	var ids []string
	for i := range processes {
		if p := &processes[i]; p.State == telemetry.Running {
			found = append(found, p)
			ids = append(ids, strconv.Itoa(p.PID))
		}
	}
	switch {
	case len(found) == 0 && len(processes) > 0:
		return nil, fmt.Errorf("no running process publishes in %s; vcmalloc stats --all shows those that ended", d)
	case len(found) == 0:
		return nil, fmt.Errorf("no process publishes in %s: start one with vcmalloc run --stats-dir %s", d, d)
	case len(found) > 1:
		return nil, usage("several processes publish in %s: name one of %s, or use --all", d, strings.Join(ids, " "))
	case found[0].Err != nil:
		return nil, found[0].Err
	}
	return found[0], nil
}
