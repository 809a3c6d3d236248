package ctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Callgrind counts our instructions, so the library must run under it: without rseq, which valgrind does not
// offer, and without instructions that it does not know.
func TestRunsUnderCallgrind(t *testing.T) {
	requireLibrary(t)
	if plain() {
		t.Skip("nothing is preloaded")
	}
	valgrind, err := tool("valgrind")
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(valgrind, "--tool=callgrind", "--callgrind-out-file="+filepath.Join(t.TempDir(), "out"), "sort", "-r")
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+libraryPath, "VCMALLOC_STATS=exit")
	cmd.Stdin = strings.NewReader("a\nb\nc\n")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || string(out) != "c\nb\na\n" || !strings.Contains(stderr.String(), "mapped for the heap") {
		t.Errorf("%v, printed %q\n%s", err, out, stderr.String())
	}
}
