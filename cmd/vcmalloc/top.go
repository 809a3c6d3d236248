package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/telemetry"
)

func newTop() *cobra.Command {
	var once bool
	var interval time.Duration
	c := &cobra.Command{
		Use:   "top",
		Short: "Show a table of the processes, renewed again and again",
		Long: "Shows the processes that publish in the folder, the largest first. On a terminal the table is renewed\n" +
			"in place; elsewhere it is printed again each time. Misses are those of the per-CPU caches.",
		Args: arguments(cobra.NoArgs),
	}
	dir := dirFlag(c)
	c.Flags().BoolVar(&once, "once", false, "print the table once")
	c.Flags().DurationVar(&interval, "interval", time.Second, "time between two tables")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if interval < 100*time.Millisecond {
			return usage("--interval %v: use 100ms or more; processes renew their numbers about once a second", interval)
		}
		d, err := openDir(*dir)
		if err != nil {
			return err
		}
		ctx, stop := interruptible(c)
		defer stop()
		t := topTable{out: c.OutOrStdout()}
		for {
			t.rows, t.columns = terminal()
			if err := t.show(d); err != nil || once {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(interval):
			}
		}
	}
	return c
}

// terminal is the size of the terminal that standard output is, zeros if it is none.
func terminal() (rows, columns int) {
	size, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return max(int(size.Row), 2), max(int(size.Col), 20)
}

// topTable prints tables, and remembers each process's numbers for the rates in the next one.
type topTable struct {
	out           io.Writer
	rows, columns int // of the terminal; 0: not a terminal
	last          map[int]seen
}

// seen is the latest snapshot that differs from the one before, and the changes between the two: a process
// writes about as often as we look, so a look often finds nothing new.
type seen struct {
	snapshot *telemetry.Snapshot
	delta    *telemetry.Delta
}

func (t *topTable) show(d telemetry.Dir) error {
	processes, err := d.Processes()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := t.render(&text, d, processes); err != nil {
		return err
	}
	if t.rows == 0 {
		_, err = t.out.Write(text.Bytes())
		return err
	}
	// Home, each line cut at the edge and cleared to its end, then the rest of the screen: no flicker.
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	screen := "\x1b[H"
	for _, line := range lines[:min(len(lines), t.rows-1)] {
		runes := []rune(line)
		screen += string(runes[:min(len(runes), t.columns)]) + "\x1b[K\n"
	}
	_, err = io.WriteString(t.out, screen+"\x1b[J")
	return err
}

func (t *topTable) render(w io.Writer, d telemetry.Dir, processes []telemetry.Process) error {
	slices.SortStableFunc(processes, func(a, b telemetry.Process) int { return cmp.Compare(backed(&b), backed(&a)) })
	next := map[int]seen{}
	deltas := map[int]*telemetry.Delta{}
	left := 0
	for i := range processes {
		p := &processes[i]
		if p.State != telemetry.Running {
			left++
		}
		if p.Snapshot != nil {
			s := t.see(p.Snapshot)
			next[p.PID], deltas[p.PID] = s, s.delta
		}
	}
	t.last = next
	fmt.Fprintf(w, "%s  %s: %d running", time.Now().Format(time.TimeOnly), d, len(processes)-left)
	if left > 0 {
		fmt.Fprintf(w, ", %d left by processes that are no more (vcmalloc clean removes them)", left)
	}
	fmt.Fprintln(w)
	if err := telemetry.WriteList(w, processes, deltas); err != nil {
		return err
	}
	for i := range processes {
		if p := &processes[i]; p.Snapshot == nil {
			fmt.Fprintf(w, "%d %s (%s): %v\n", p.PID, p.Command, p.State, p.Err)
		}
	}
	return nil
}

// backed orders the table: what counts is memory, not address space.
func backed(p *telemetry.Process) uint64 {
	if p.Snapshot == nil {
		return 0
	}
	return p.Snapshot.Totals.Backed()
}

func (t *topTable) see(s *telemetry.Snapshot) seen {
	before, ok := t.last[s.PID]
	if !ok {
		return seen{snapshot: s}
	}
	d, err := s.Since(before.snapshot)
	switch {
	case err != nil: // a new heap
		return seen{snapshot: s}
	case d.Interval == 0:
		return before
	}
	return seen{s, d}
}
