package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The command and the probe are built once, the library is make's.
var tools struct {
	dir, vcmalloc, probe, library string
	missing                       string // why there is no library
	noProbe                       string
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		for _, e := range os.Environ() { // the tests choose their own settings
			if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "VCMALLOC_") || name == "LD_PRELOAD" {
				os.Unsetenv(name)
			}
		}
		dir, err := os.MkdirTemp("", "vcmalloc-cmd")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		tools.dir = dir
		tools.vcmalloc = filepath.Join(dir, "bin", "vcmalloc")
		build := exec.Command("go", "build", "-o", tools.vcmalloc, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			panic(err.Error() + "\n" + string(out))
		}
		library, err := filepath.Abs("../../build/" + libraryName)
		if v := os.Getenv("VCMTEST_LIB"); v != "" {
			library = v
		}
		if err == nil {
			_, err = os.Stat(library)
		}
		if err != nil {
			tools.missing = err.Error()
		}
		tools.library = library
		tools.probe = filepath.Join(dir, "probe")
		if out, err := exec.Command("gcc", "-O1", "-fno-builtin", "-o", tools.probe, "testdata/probe.c").CombinedOutput(); err != nil {
			tools.noProbe = err.Error() + " " + string(out)
		}
		return m.Run()
	}())
}

// needLibrary skips the test where there is no library; VCMTEST_REQUIRE_BUILD=1 makes that a failure.
func needLibrary(t *testing.T) {
	t.Helper()
	if tools.missing == "" {
		return
	}
	if os.Getenv("VCMTEST_REQUIRE_BUILD") == "1" {
		t.Fatalf("%s: build it with cgo/build.sh", tools.missing)
	}
	t.Skipf("%s: run make first (VCMTEST_REQUIRE_BUILD=1 makes this a failure)", tools.missing)
}

// outcome is what a command line gave.
type outcome struct {
	stdout, stderr string
	status         int // exit status; 128 + number for a signal
}

// vcmalloc runs the command as a user does, with env added to the environment.
func vcmalloc(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	c := exec.Command(tools.vcmalloc, args...)
	c.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); c.ProcessState == nil {
		t.Fatalf("%v: %v", args, err)
	}
	status := c.ProcessState.ExitCode()
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		status = 128 + int(ws.Signal())
	}
	return outcome{stdout.String(), stderr.String(), status}
}

// background is a command that runs while the test looks at it.
type background struct {
	*exec.Cmd
	stdin  io.WriteCloser
	lines  chan string
	stderr *bytes.Buffer
}

// start runs the command; its standard output comes line by line.
func start(t *testing.T, args ...string) *background {
	t.Helper()
	b := &background{Cmd: exec.Command(tools.vcmalloc, args...), lines: make(chan string, 100), stderr: new(bytes.Buffer)}
	b.Stderr = b.stderr
	var err error
	b.stdin, err = b.StdinPipe()
	require.NoError(t, err)
	stdout, err := b.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, b.Start())
	t.Cleanup(func() {
		_ = b.Process.Kill()
		_ = b.Wait()
	})
	go func() {
		defer close(b.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			b.lines <- s.Text()
		}
	}()
	return b
}

func (b *background) line(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-b.lines:
		require.True(t, ok, "the program ended: %s", b.stderr)
		return line
	case <-time.After(10 * time.Second):
		t.Fatal("no output for 10 seconds")
		return ""
	}
}

// eventually waits for what happens about once a second.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("in 10 seconds not: %s", what)
}
