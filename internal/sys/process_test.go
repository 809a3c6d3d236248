package sys

import (
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestAbortEndsTheProcessWhateverTheSignalDoes(t *testing.T) {
	for name := range children {
		if !strings.HasPrefix(name, "abort") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			text, status := runChild(t, name)
			if !status.Signaled() || status.Signal() != syscall.SIGABRT {
				t.Errorf("status %#x, want death by SIGABRT", status)
			}
			if text != "" {
				t.Errorf("printed %q", text)
			}
		})
	}
}

func TestFailedCheckPrintsOneLineAndAborts(t *testing.T) {
	text, status := runChild(t, "panic stub")
	if !status.Signaled() || status.Signal() != syscall.SIGABRT {
		t.Errorf("status %#x, want death by SIGABRT", status)
	}
	m := regexp.MustCompile(`^vcmalloc: internal error: failed check at code address 0x([0-9a-f]+); please report it with this line and the library's version\n$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("printed %q", text)
	}
	pc, err := strconv.ParseUint(m[1], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	// The child is the same program; unless it is position-independent the address means the same here.
	if f := runtime.FuncForPC(uintptr(pc)); f != nil && !strings.Contains(f.Name(), "internal/sys") {
		t.Errorf("the address is in %s, not in the caller", f.Name())
	}
}

func TestGetpidIsOurs(t *testing.T) {
	if int(Getpid()) != syscall.Getpid() {
		t.Error("not our process id")
	}
}
