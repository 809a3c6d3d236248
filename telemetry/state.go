package telemetry

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// State says what became of the process a block file is named after.
type State int

const (
	// Running: the process is there, and publishes in the file.
	Running State = iota
	// Ended: there is no such process, it is a zombie, or its id belongs to a younger process. The block is the
	// last it wrote.
	Ended
	// Replaced: the process is there but has left the file behind: it executed a program without the library.
	Replaced
)

var stateNames = [...]string{Running: "running", Ended: "ended", Replaced: "replaced"}

func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "State(" + strconv.Itoa(int(s)) + ")"
	}
	return stateNames[s]
}

// MarshalText makes the name the value in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if string(text) == name {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("no such state: %q", text)
}

const (
	// freshFor is how young a block must be to be proof that its process still writes it: blocks are renewed
	// about once a second.
	freshFor = 3 * time.Second
	// /proc/PID/stat counts in units of 10 ms on every architecture that Go knows.
	nanosPerTick = int64(time.Second / 100)
)

// stateOf is the state of process pid, whose block at path is s (nil: unreadable).
func stateOf(pid int, path string, s *Snapshot, now clock) State {
	born, zombie, err := bornAt(pid)
	switch {
	case errors.Is(err, os.ErrNotExist) && errors.Is(unix.Kill(pid, 0), unix.ESRCH):
		return Ended
	case zombie:
		return Ended
	case s == nil:
		return Running
	// A block from the future was written before the machine started anew.
	case s.started > now.monotonic || s.updated > now.monotonic:
		return Ended
	// born counts the time asleep, which the monotonic clock leaves out. Adding all of it puts the heap's start
	// too late rather than too early: a process is never taken for a younger one by mistake.
	case err == nil && born > s.started+asleep(now)+2*nanosPerTick:
		return Ended
	case now.monotonic-s.updated < int64(freshFor):
		return Running
	}
	// The block is old: the process allocates nothing, or has become another program. Only a process that
	// publishes in the file maps it.
	if maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid)); err == nil {
		defer maps.Close()
		if mapped, err := mapsFile(maps, filepath.Base(path)); err == nil && !mapped {
			return Replaced
		}
	}
	return Running
}

// asleep is how long the machine has slept since it started, in nanoseconds.
func asleep(now clock) int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return max(ts.Nano()-now.monotonic, 0)
}

// bornAt is when process pid was made, in nanoseconds since the machine started.
func bornAt(pid int) (nanos int64, zombie bool, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, unix.ESRCH) { // it ended between open and read
		err = os.ErrNotExist
	}
	if err != nil {
		return 0, false, err
	}
	return parseStat(data)
}

// parseStat reads /proc/PID/stat. The name in it, in parentheses, may hold anything, parentheses included.
func parseStat(data []byte) (nanos int64, zombie bool, err error) {
	const state, startTime = 0, 19 // fields behind the name
	end := bytes.LastIndexByte(data, ')')
	fields := strings.Fields(string(data[end+1:]))
	if end < 0 || len(fields) <= startTime {
		return 0, false, errors.New("/proc/PID/stat is not understood")
	}
	ticks, err := strconv.ParseInt(fields[startTime], 10, 64)
	if err != nil {
		return 0, false, err
	}
	zombie = fields[state] == "Z" || fields[state] == "X"
	return ticks * nanosPerTick, zombie, nil
}

// mapsFile reports whether a file of this name, not removed since, is mapped. Folders are not compared: they
// have other names in other mount namespaces. Nor are inodes: on btrfs and overlayfs maps shows other numbers
// than stat.
func mapsFile(maps *os.File, name string) (bool, error) {
	lines := bufio.NewScanner(maps)
	lines.Buffer(nil, 1<<20)
	suffix := []byte("/" + name)
	for lines.Scan() {
		if bytes.HasSuffix(lines.Bytes(), suffix) {
			return true, nil
		}
	}
	return false, lines.Err()
}

// commandOf is the name of a process, "" if it has none to show. Processes name themselves: what could move a
// terminal's cursor or break a label is replaced.
func commandOf(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return printable(strings.TrimSuffix(string(data), "\n"))
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
