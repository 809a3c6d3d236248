package ctest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// result is what became of one run.
type result struct {
	state          *os.ProcessState
	stdout, stderr string
	hung           bool
	backtraces     string
	command        string // repeats the run in a shell
}

// ok tells whether the program ended well and said so last.
func (r *result) ok() bool {
	return !r.hung && r.state.Success() && strings.HasSuffix("\n"+r.stdout, "\nok\n")
}

// signal is the signal that ended the program, or 0.
func (r *result) signal() syscall.Signal {
	if ws, ok := r.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal()
	}
	return 0
}

func (r *result) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s\n%v", r.command, r.state)
	if r.hung {
		s.WriteString(" (hung: killed when its time was up)")
	}
	for _, part := range []struct{ name, text string }{{"stdout", r.stdout}, {"stderr", r.stderr}, {"gdb", r.backtraces}} {
		if part.text != "" {
			fmt.Fprintf(&s, "\n--- %s ---\n%s", part.name, clip(part.text))
		}
	}
	return s.String()
}

// clip keeps the ends of a long text.
func clip(s string) string {
	const head, tail = 4 << 10, 12 << 10
	if len(s) <= head+tail {
		return s
	}
	return fmt.Sprintf("%s\n... %d bytes left out ...\n%s", s[:head], len(s)-head-tail, s[len(s)-tail:])
}

// run starts a command with the library preloaded, in a process group of its own, and waits for it. When
// its time is up, gdb prints the stacks of every process of the group, and the group is killed.
func run(t *testing.T, timeout time.Duration, extraEnv []string, argv ...string) *result {
	t.Helper()
	dir := t.TempDir()
	stdout, stderr := create(t, dir, "stdout"), create(t, dir, "stderr")
	defer stdout.Close()
	defer stderr.Close()

	added := slices.Concat(preloadEnv(), []string{"CTEST_DIR=" + build.dir}, extraEnv)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(cleanEnv(), added...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r := &result{command: "env " + strings.Join(added, " ") + " " + strings.Join(argv, " ")}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", r.command, err)
	}
	group := -cmd.Process.Pid
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		r.hung = true
		r.backtraces = backtraces(cmd.Process.Pid)
	}
	// Children that outlive the program go too; usually there are none.
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-done
	r.state = cmd.ProcessState
	r.stdout, r.stderr = slurp(t, stdout), slurp(t, stderr)
	return r
}

func create(t *testing.T, dir, name string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func slurp(t *testing.T, f *os.File) string {
	t.Helper()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return strings.ToValidUTF8(string(text), "?")
}

// cleanEnv is our environment without what would configure the allocator or the loader.
func cleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		for _, p := range []string{"VCMALLOC_", "LD_PRELOAD=", "GLIBC_TUNABLES=", "CTEST_", "MALLOC_"} {
			if strings.HasPrefix(kv, p) {
				return true
			}
		}
		return false
	})
}

// preloadEnv preloads the library; nothing for the plain C library.
func preloadEnv() []string {
	if plain() {
		return nil
	}
	return []string{"LD_PRELOAD=" + libraryPath, "CTEST_EXPECT=1"}
}

// backtraces asks gdb for the stacks of the first few processes of a group.
func backtraces(pgid int) string {
	gdb, err := tool("gdb")
	if err != nil {
		return err.Error() + " to see where a program hangs"
	}
	var s strings.Builder
	for _, pid := range processGroup(pgid, 4) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		cmd := exec.CommandContext(ctx, gdb, "-nx", "-batch", "-p", strconv.Itoa(pid), "-ex", "thread apply all bt 20")
		cmd.Env = append(cleanEnv(), "DEBUGINFOD_URLS=")
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		cancel()
		fmt.Fprintf(&s, "process %d:\n%s", pid, out)
		if err != nil {
			fmt.Fprintf(&s, "gdb: %v\n", err)
		}
	}
	return s.String()
}

// processGroup lists processes of a group, up to max.
func processGroup(pgid, max int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pids []int
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid pgrp: the name may hold spaces and parentheses.
		at := strings.LastIndexByte(string(text), ')')
		fields := strings.Fields(string(text[at+1:]))
		if len(fields) < 3 || fields[0] == "Z" || fields[2] != strconv.Itoa(pgid) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
		if len(pids) == max {
			break
		}
	}
	return pids
}

// gdbEnv gives an environment to the program under gdb, not to gdb itself.
func gdbEnv(env []string) []string {
	var commands []string
	for _, kv := range env {
		key, value, _ := strings.Cut(kv, "=")
		commands = append(commands, "set environment "+key+" = "+value)
	}
	return commands
}

// crashBacktrace runs a program that a signal ended once more, under gdb, which may show where. It
// returns the empty string when gdb is absent or the crash does not repeat.
func crashBacktrace(timeout time.Duration, extraEnv []string, argv ...string) string {
	gdb, err := tool("gdb")
	if err != nil {
		return err.Error() + " to see where a program crashes"
	}
	args := []string{"-nx", "-batch", "-ex", "set startup-with-shell off"}
	for _, command := range gdbEnv(slices.Concat(preloadEnv(), []string{"CTEST_DIR=" + build.dir}, extraEnv)) {
		args = append(args, "-ex", command)
	}
	args = append(args, "-ex", "handle SIGUSR1 SIGUSR2 SIGPROF SIGALRM nostop noprint pass",
		"-ex", "run", "-ex", "bt 20", "-ex", "info registers rip rsp rax rdi r14", "-ex", "x/3i $pc", "--args")
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, gdb, append(args, argv...)...)
	cmd.Env = append(cleanEnv(), "DEBUGINFOD_URLS=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Sprintf("%s\n(gdb's time is up: %v)", out, err)
	}
	return string(out)
}
