package ctest

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestGDB stops in each entry point and steps by instructions: at every one gdb must unwind to main. (In a
// restartable sequence each stop sends the thread back to its start; the number of steps is fixed.)
func TestGDB(t *testing.T) {
	requireLibrary(t)
	gdb, err := tool("gdb")
	if err != nil {
		t.Skip(err)
	}
	exe := mustBuild(t, &program{path: "stress/gdb_target.c", name: "gdb_target.c"})
	const steps = 150
	for _, entry := range []string{"malloc", "realloc", "free"} {
		t.Run(entry, func(t *testing.T) {
			t.Parallel()
			var script strings.Builder
			fmt.Fprintf(&script, "set confirm off\nset pagination off\nset breakpoint pending on\nset startup-with-shell off\n")
			for _, command := range gdbEnv(preloadEnv()) {
				fmt.Fprintln(&script, command)
			}
			fmt.Fprintf(&script, "break main\nrun\nbreak *%s\ncontinue\ndelete\n", entry)
			fmt.Fprintf(&script, "set $i = 0\nwhile $i < %d\necho @@\\n\nbt 12\nstepi\nset $i = $i + 1\nend\nkill\n", steps)
			dir := t.TempDir()
			f := create(t, dir, "script")
			if _, err := f.WriteString(script.String()); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, gdb, "-nx", "-batch", "-x", f.Name(), exe)
			cmd.Env = append(cleanEnv(), "DEBUGINFOD_URLS=")
			cmd.WaitDelay = time.Second
			out, err := cmd.CombinedOutput()
			stacks := strings.Split(string(out), "@@\n")
			if len(stacks) < 10 {
				if strings.Contains(string(out), "ptrace: Operation not permitted") {
					t.Skip("gdb may not trace here")
				}
				t.Fatalf("gdb stopped early: %v\n%s", err, clip(string(out)))
			}
			inMain := regexp.MustCompile(`(?m)^#\d+ .*\bmain \(`)
			for i, stack := range stacks[1:] {
				if !inMain.MatchString(stack) {
					t.Fatalf("step %d: gdb does not see main:\n%s", i, stack)
				}
			}
		})
	}
}
