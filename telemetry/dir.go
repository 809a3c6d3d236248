package telemetry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// prefix of a block's file name; the process id follows.
const prefix = "vcmalloc."

// Dir is a folder that processes publish their blocks in: what VCMALLOC_STATS_DIR named when they started.
type Dir string

// Process is one block file of a folder, and what is known of the process it is named after.
type Process struct {
	PID     int    `json:"pid"`
	Command string `json:"command"` // the kernel's short name of it, made printable; "" when it has ended
	State   State  `json:"state"`
	Path    string `json:"path"`

	// Snapshot is nil where Err says why.
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	Err      error     `json:"-"`
}

// Path is where process pid publishes.
func (d Dir) Path(pid int) string { return filepath.Join(string(d), prefix+strconv.Itoa(pid)) }

// Processes reads every block in the folder, in order of process id. What is wrong with one of them is in its
// Err; the error returned is about the folder.
func (d Dir) Processes() ([]Process, error) {
	pids, err := d.pids()
	if err != nil {
		return nil, err
	}
	out := make([]Process, 0, len(pids))
	for _, pid := range pids {
		p := d.Process(pid)
		if errors.Is(p.Err, os.ErrNotExist) {
			continue // it ended since the folder was listed
		}
		out = append(out, p)
	}
	return out, nil
}

// pids are the ids in the names of the files, sorted.
func (d Dir) pids() ([]int, error) {
	f, err := os.Open(string(d))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if digits, ok := strings.CutPrefix(name, prefix); ok {
			// Only the spelling that the library writes: no sign, no leading zeros.
			if pid, err := strconv.ParseInt(digits, 10, 32); err == nil && pid > 0 && strconv.FormatInt(pid, 10) == digits {
				pids = append(pids, int(pid))
			}
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// Process reads the block of one process.
func (d Dir) Process(pid int) Process {
	p := Process{PID: pid, Path: d.Path(pid)}
	p.Snapshot, p.Err = ReadFile(p.Path)
	if p.Err == nil && p.Snapshot.PID != pid {
		p.Err = fmt.Errorf("%s: %w: it is of process %d", p.Path, ErrFormat, p.Snapshot.PID)
		p.Snapshot = nil
	}
	p.State = stateOf(pid, p.Path, p.Snapshot, readClock())
	if p.State != Ended {
		p.Command = commandOf(pid)
	}
	return p
}

// Clean removes the files of processes that have ended, and returns their ids. Such files stay behind when a
// process is killed or leaves by _exit, as forked children of shells do.
func (d Dir) Clean() (removed []int, err error) {
	pids, err := d.pids()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, pid := range pids {
		if p := d.Process(pid); p.State != Ended || errors.Is(p.Err, os.ErrNotExist) {
			continue
		}
		switch err := os.Remove(d.Path(pid)); {
		case err == nil:
			removed = append(removed, pid)
		case !errors.Is(err, os.ErrNotExist):
			errs = append(errs, err)
		}
	}
	return removed, errors.Join(errs...)
}
