package sys

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// children are what a copy of the test program does instead of tests when childEnv names one.
var children = map[string]func(){
	"abort": func() {
		defaultAction()
		Abort()
	},
	"abort blocked": func() {
		defaultAction()
		set := uint64(1) << (syscall.SIGABRT - 1)
		if _, e := call6(syscall.SYS_RT_SIGPROCMASK, 0 /* SIG_BLOCK */, uintptr(unsafe.Pointer(&set)), 0, 8, 0, 0); e != 0 {
			os.Exit(3)
		}
		Abort()
	},
	"abort ignored": func() {
		signal.Ignore(syscall.SIGABRT)
		Abort()
	},
	"abort handler returns": func() {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGABRT)
		Abort()
	},
	"panic stub": func() {
		defaultAction()
		PanicStub()
	},
}

const childEnv = "VCM_SYS_TEST_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
		children[name]()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runChild runs a child to its end and returns what it wrote to standard error.
func runChild(t *testing.T, name string) (string, syscall.WaitStatus) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	var text bytes.Buffer
	cmd.Stderr = &text
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return text.String(), cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// defaultAction undoes the Go runtime's handler of SIGABRT.
func defaultAction() {
	var act [4]uint64
	if _, e := call6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGABRT), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0); e != 0 {
		os.Exit(3)
	}
}

// captureStderr returns what f writes to file descriptor 2: no more than a pipe holds.
func captureStderr(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	saved, err := syscall.Dup(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Dup3(int(w.Fd()), 2, 0); err != nil {
		t.Fatal(err)
	}
	f()
	if err := syscall.Dup3(saved, 2, 0); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Close(saved)
	_ = w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	return string(text)
}

// area is where the tests' mappings lie, far from where the system puts others': a hole that a test leaves is
// not filled by somebody else.
var area uintptr = 0x4800_0000_0000

// pages maps n system pages with a page without access behind them, and returns their address and size.
func pages(t *testing.T, n uintptr) (a, size uintptr) {
	t.Helper()
	page := uintptr(os.Getpagesize())
	size = n * page
	a, e := Mmap(area, size+page, ProtRead|ProtWrite, MapPrivate|MapFixedNoReplace)
	if e != 0 || a != area {
		t.Fatalf("mmap at %#x: %#x, error %d", area, a, e)
	}
	area += size + 64*page
	t.Cleanup(func() { Munmap(a, size+page) })
	if e := Mprotect(a+size, page, ProtNone); e != 0 {
		t.Fatal("mprotect:", e)
	}
	return a, size
}

func store(a uintptr, text string) {
	for i := range len(text) {
		*(*byte)(At(a + uintptr(i))) = text[i]
	}
}

// mapping is the line of /proc/self/maps that covers a, or "".
func mapping(t *testing.T, a uintptr) string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var start, end uintptr
		if _, err := sscanRange(line, &start, &end); err == nil && a >= start && a < end {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
