package programs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// proof says how a run shows that the library was in its processes.
type proof int

const (
	proveByLoader proof = iota // the loader's log of every process names the library
	proveByMaps                // /proc/PID/maps named it while the program ran
	noPreload                  // nothing to prove: the program runs without the library
)

// program is one program to run. The zero values run it as this user, with the library, in a new directory.
type program struct {
	argv    []string
	dir     string // working directory; a new one where empty
	stdin   io.Reader
	env     []string      // added to the environment of every program
	timeout time.Duration // a minute where zero
	proof   proof
	user    *syscall.Credential // who runs it
	fails   bool                // the program is expected to end with a status other than 0
}

// process is a started program. Its methods are for the test's goroutine.
type process struct {
	t       *testing.T
	program program
	cmd     *exec.Cmd
	stdout  syncBuffer
	stderr  syncBuffer
	logs    string                 // directory of the loader's logs, where there are any
	done    chan struct{}          // closed when the process has been waited for
	err     error                  // what Wait returned; read after done
	late    atomic.Pointer[string] // what was going on at the time limit; nil before it
}

// syncBuffer is a bytes.Buffer that can be read while the program still writes.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// workDir makes a directory that is removed at the end of the test. Unlike t.TempDir it can be entered by
// other users, and its path is short enough for a unix socket.
func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// environment returns what a program sees: this process's environment without anything that would make
// its output depend on the machine or bring in another preload.
func environment(p program, logs string) []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "LD_"), strings.HasPrefix(name, "PYTHON"), strings.HasPrefix(name, "PG"),
			strings.HasPrefix(name, "GIT_"), strings.HasPrefix(name, "PERL"), strings.HasPrefix(name, "NODE_"),
			strings.HasPrefix(name, "LC_"), strings.HasPrefix(name, "JAVA_"), strings.HasPrefix(name, "JDK_"),
			name == "LANG", name == "TZ", name == "HOME", name == "TMPDIR",
			name == "VCMTEST_LIB", name == "VCMTEST_REQUIRE_BUILD": // ours; the library knows neither
			continue
		}
		env = append(env, v)
	}
	env = append(env, "LC_ALL=C.UTF-8", "TZ=UTC", "HOME="+p.dir, "TMPDIR="+p.dir)
	if preload != "" && p.proof != noPreload {
		env = append(env, "LD_PRELOAD="+preload)
		if logs != "" {
			env = append(env, "LD_DEBUG=files", "LD_DEBUG_OUTPUT="+filepath.Join(logs, "ld"))
		}
	}
	return append(env, p.env...)
}

// start starts a program, which is killed at the end of the test or of its time, whichever comes first.
func start(t *testing.T, p program) *process {
	t.Helper()
	needLibrary(t)
	if p.dir == "" {
		p.dir = workDir(t)
	}
	if p.timeout == 0 {
		p.timeout = time.Minute
	}
	c := &process{t: t, program: p, done: make(chan struct{})}
	if p.proof == proveByLoader && preload != "" {
		c.logs = workDir(t)
	}
	c.cmd = exec.Command(p.argv[0], p.argv[1:]...)
	c.cmd.Dir = p.dir
	c.cmd.Env = environment(p, c.logs)
	c.cmd.Stdin = p.stdin
	c.cmd.Stdout = &c.stdout
	c.cmd.Stderr = &c.stderr
	c.cmd.WaitDelay = 10 * time.Second // for output held open by a process that left the group
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: p.user}
	if err := c.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", p.argv[0], err)
	}
	limit := time.AfterFunc(p.timeout, func() {
		report := fmt.Sprintf("not done after %v; its threads:\n%s", p.timeout, describeGroup(c.pid()))
		c.late.Store(&report)
		c.killGroup()
	})
	go func() {
		c.err = c.cmd.Wait()
		limit.Stop()
		c.killGroup() // children left behind
		close(c.done)
	}()
	t.Cleanup(func() {
		if !c.ended() {
			c.killGroup()
		}
		<-c.done
	})
	return c
}

func (c *process) pid() int { return c.cmd.Process.Pid }

// killGroup kills the program and its children. The group outlives its leader: a child left behind is
// killed too.
func (c *process) killGroup() { _ = syscall.Kill(-c.pid(), syscall.SIGKILL) }

// wait waits for the program's end, checks its status and that the library was there, and returns its
// standard output.
func (c *process) wait() string {
	c.t.Helper()
	seen := true
	if c.program.proof == proveByMaps {
		seen = c.sawLibrary()
	}
	<-c.done
	var exit *exec.ExitError
	switch late := c.late.Load(); {
	case c.err != nil && late != nil:
		c.fatalf("%s", *late)
	case c.program.fails && errors.As(c.err, &exit) && exit.Exited():
	case c.err != nil:
		c.fatalf("%v", c.err)
	case c.program.fails:
		c.fatalf("succeeded, though it should have failed")
	}
	if !seen {
		c.fatalf("its maps never showed %s", preload)
	}
	// A complaint of the library's is a failure even where the program goes on (VCMALLOC_CHECK).
	if os.Getenv("VCMALLOC_STATS") == "" && strings.Contains(c.stderr.String(), "vcmalloc: ") {
		c.fatalf("the library complained")
	}
	if c.logs != "" {
		c.checkLoaderLogs()
	}
	return c.stdout.String()
}

// stop sends a signal that asks the program to end, waits, and checks that it ended well.
func (c *process) stop(signal syscall.Signal) {
	c.t.Helper()
	if c.ended() {
		c.fatalf("ended by itself: %v", c.err)
	}
	_ = c.cmd.Process.Signal(signal)
	c.wait()
}

// ended tells whether the program has ended.
func (c *process) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// waitUntil polls until ready says so; it fails the test when the program ends or 30 s pass before.
func (c *process) waitUntil(what string, ready func() bool) {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ready(); time.Sleep(10 * time.Millisecond) {
		if c.ended() {
			c.fatalf("ended before it was %s: %v", what, c.err)
		}
		if time.Now().After(end) {
			c.fatalf("not %s after 30 s", what)
		}
	}
}

// fatalf ends the test, showing the end of the program's output.
func (c *process) fatalf(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("%s: %s\nstdout: %s\nstderr: %s", strings.Join(shorten(c.program.argv), " "),
		fmt.Sprintf(format, args...), tail(c.stdout.String()), tail(c.stderr.String()))
}

// execute runs a program to its end and returns its standard output.
func execute(t *testing.T, p program) string {
	t.Helper()
	return start(t, p).wait()
}

// tail returns the last 4,000 bytes of a program's output.
func tail(s string) string {
	const limit = 4000
	if len(s) > limit {
		return "…" + s[len(s)-limit:]
	}
	return s
}

// shorten cuts long arguments (scripts) for a message.
func shorten(argv []string) []string {
	var out []string
	for _, a := range argv {
		if len(a) > 80 {
			a = a[:77] + "…"
		}
		out = append(out, a)
	}
	return out
}

// equal fails the test unless got is what was wanted, showing both where they first differ.
func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-60)
	t.Fatalf("%s differs at byte %d (%d bytes, expected %d)\n got: …%.200q\nwant: …%.200q", what, i,
		len(got), len(want), got[from:], want[from:])
}

// describeGroup lists the threads of a process group: what they run, their state and what they wait for.
func describeGroup(group int) string {
	var b strings.Builder
	stats, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// pid (comm) state ppid pgrp …; comm may hold anything, so what follows starts after the last ')'.
		text := string(data)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) < 3 || fields[2] != strconv.Itoa(group) {
			continue
		}
		dir := filepath.Dir(path)
		wchan, _ := os.ReadFile(filepath.Join(dir, "wchan"))
		call, _ := os.ReadFile(filepath.Join(dir, "syscall"))
		fmt.Fprintf(&b, "  %s %s wchan %s syscall %s\n", text[:strings.LastIndexByte(text, ')')+1], fields[0],
			wchan, strings.TrimSpace(string(call)))
	}
	return b.String()
}
