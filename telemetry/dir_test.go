package telemetry

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// endedPID is the id of a process that is no more.
func endedPID(t *testing.T) int {
	t.Helper()
	c := exec.Command("true")
	require.NoError(t, c.Run())
	return c.Process.Pid
}

func TestProcessesReportsEachFileByItsState(t *testing.T) {
	dir := Dir(t.TempDir())
	me, ended := os.Getpid(), endedPID(t)
	writeFile(t, dir, me, bytesOf(sample(me)))
	writeFile(t, dir, ended, bytesOf(sample(ended)))
	// Another process's file under this one's name.
	wrong := os.Getppid()
	writeFile(t, dir, wrong, bytesOf(sample(me)))
	for _, name := range []string{"vcmalloc.", "vcmalloc.x", "vcmalloc.-1", "vcmalloc.007", "vcmalloc.0", "vcmalloc.99999999999", "other.1"} {
		require.NoError(t, os.WriteFile(filepath.Join(string(dir), name), nil, 0o600))
	}

	processes, err := dir.Processes()
	require.NoError(t, err)
	byPID := map[int]Process{}
	for _, p := range processes {
		byPID[p.PID] = p
	}
	require.Len(t, byPID, 3)

	comm, err := os.ReadFile("/proc/self/comm")
	require.NoError(t, err)
	assert.Equal(t, Running, byPID[me].State)
	assert.Equal(t, strings.TrimSpace(string(comm)), byPID[me].Command)
	assert.NoError(t, byPID[me].Err)
	assert.Equal(t, Ended, byPID[ended].State)
	assert.NotNil(t, byPID[ended].Snapshot, "its last numbers are still there")
	assert.Empty(t, byPID[ended].Command)
	assert.ErrorIs(t, byPID[wrong].Err, ErrFormat)
	assert.Nil(t, byPID[wrong].Snapshot)

	removed, err := dir.Clean()
	require.NoError(t, err)
	assert.Equal(t, []int{ended}, removed)
	assert.FileExists(t, dir.Path(me))
	assert.NoFileExists(t, dir.Path(ended))

	_, err = Dir(filepath.Join(string(dir), "none")).Processes()
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestStateTellsAYoungerProcessOfTheSameID(t *testing.T) {
	me, now := os.Getpid(), readClock()
	born, zombie, err := bornAt(me)
	require.NoError(t, err)
	require.False(t, zombie)
	old := &Snapshot{PID: me, started: born - asleep(now) - 1e9, updated: born - asleep(now)}
	if old.started <= 0 {
		t.Skip("the machine has just started")
	}
	assert.Equal(t, Ended, stateOf(me, "vcmalloc.1", old, now), "the heap is older than the process")
	future := &Snapshot{PID: me, started: now.monotonic, updated: now.monotonic + 1e9}
	assert.Equal(t, Ended, stateOf(me, "vcmalloc.1", future, now), "written before the machine started anew")
}

func TestStateTellsAProcessThatLeftItsFile(t *testing.T) {
	dir := Dir(t.TempDir())
	me, now := os.Getpid(), readClock()
	path := writeFile(t, dir, me, bytesOf(sample(me)))
	old := &Snapshot{PID: me, started: now.monotonic, updated: now.monotonic}
	now.monotonic += 10 * int64(freshFor)
	assert.Equal(t, Replaced, stateOf(me, path, old, now))
	mapBlock(t, path)
	assert.Equal(t, Running, stateOf(me, path, old, now), "idle, but the file is mapped")
	assert.Equal(t, Running, stateOf(me, path, nil, now), "unreadable files say nothing")
}

func TestZombiesHaveEnded(t *testing.T) {
	c := exec.Command("true")
	require.NoError(t, c.Start())
	defer c.Wait()
	var info unix.Siginfo
	require.NoError(t, unix.Waitid(unix.P_PID, c.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil))
	now := readClock()
	s := &Snapshot{started: now.monotonic, updated: now.monotonic}
	assert.Equal(t, Ended, stateOf(c.Process.Pid, "vcmalloc.1", s, now))
}

func TestParseStat(t *testing.T) {
	tail := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n"
	for name, line := range map[string]string{
		"plain": "12 (sh)" + tail, "spaces": "12 (a b c)" + tail, "parentheses": "12 (:-) (Z) 1 2)" + tail,
	} {
		nanos, zombie, err := parseStat([]byte(line))
		assert.NoError(t, err, name)
		assert.EqualValues(t, 4711*10_000_000, nanos, name)
		assert.False(t, zombie, name)
	}
	for _, line := range []string{"", "12", "12 (sh) S 1", "12 (sh" + tail, strings.Replace("12 (sh)"+tail, "4711", "x", 1)} {
		_, _, err := parseStat([]byte(line))
		assert.Error(t, err, line)
	}
}

func TestNamesOfProcessesCanNotMoveTheCursor(t *testing.T) {
	assert.Equal(t, "a?[2Jb? ??ü", printable("a\x1b[2Jb\n \xff\u202eü"))
}

func TestStatesHaveNamesInJSON(t *testing.T) {
	for _, s := range []State{Running, Ended, Replaced} {
		text, err := json.Marshal(s)
		require.NoError(t, err)
		var back State
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, s, back)
	}
	assert.Error(t, new(State).UnmarshalText([]byte("dead")))
	assert.Equal(t, "State(7)", State(7).String())
}
