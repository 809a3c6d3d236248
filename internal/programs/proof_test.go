package programs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// allocatorSymbols are the references that must reach the library, wherever a program makes them.
var allocatorSymbols = map[string]bool{
	"malloc": true, "free": true, "calloc": true, "realloc": true, "memalign": true, "aligned_alloc": true,
	"posix_memalign": true, "malloc_usable_size": true, "nallocx": true,
	"_Znwm": true, "_Znam": true, "_ZdlPv": true, "_ZdaPv": true, "_ZdlPvm": true, "_ZdaPvm": true,
	"_ZnwmSt11align_val_t": true, "_ZdlPvSt11align_val_t": true, "_ZnwmRKSt9nothrow_t": true,
}

// checkLoaderLogs checks that every process of the run loaded the library: LD_DEBUG=files makes the loader
// write one log per process.
func (c *process) checkLoaderLogs() {
	c.t.Helper()
	logs, err := filepath.Glob(filepath.Join(c.logs, "ld.*"))
	if err != nil || len(logs) == 0 {
		c.fatalf("no log of the loader: is the program statically linked? (%v)", err)
	}
	// The loader names a file before it opens it; this line comes once the file is mapped.
	mapped := regexp.MustCompile("file=" + regexp.QuoteMeta(preload) + ` \[\d+\];\s+generating link map`)
	main := fmt.Sprintf("ld.%d", c.pid())
	found := false
	for _, log := range logs {
		data, err := os.ReadFile(log)
		if err != nil {
			c.t.Fatal(err)
		}
		if !mapped.Match(data) {
			c.fatalf("a process ran without %s; the loader's log:\n%s", preload, tail(string(data)))
		}
		found = found || filepath.Base(log) == main
	}
	if !found {
		c.fatalf("the program's own process has no log of the loader")
	}
	c.t.Logf("%s: %d processes, all with the library", filepath.Base(c.program.argv[0]), len(logs))
}

// sawLibrary watches the program's maps until they show the library or it ends.
func (c *process) sawLibrary() bool {
	for !mapsLibrary(c.pid()) {
		if c.ended() {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// requireMapped fails the test unless the library is mapped in the process and in all its children.
func (c *process) requireMapped() {
	c.t.Helper()
	all := append(descendants(c.pid()), c.pid())
	for _, pid := range all {
		if mapsLibrary(pid) {
			continue
		}
		// A child may have ended meanwhile, and one that is about to has no maps left.
		if maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid)); pid == c.pid() || err == nil && len(maps) > 0 {
			c.fatalf("process %d runs without %s", pid, preload)
		}
	}
	if preload != "" {
		c.t.Logf("%s: %d processes, all with the library", filepath.Base(c.program.argv[0]), len(all))
	}
}

// mapsLibrary tells whether a process has the library mapped; without a library it always is.
func mapsLibrary(pid int) bool {
	if preload == "" {
		return true
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	return err == nil && strings.Contains(string(maps), " "+preload+"\n")
}

// descendants returns the processes below one, children before grandchildren.
func descendants(pid int) []int {
	var all []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(all, child)
			}
		}
	}
	for _, child := range all[:len(all):len(all)] {
		all = append(all, descendants(child)...)
	}
	return all
}

var bindingLine = regexp.MustCompile("binding file (\\S+) \\[\\d+\\] to (\\S+) \\[\\d+\\]: \\w+ symbol `(\\w+)'")

// requireBound runs a command that ends at once (such as --version) and fails the test unless the loader
// bound every reference to the allocator, from the program and all its libraries, to the library.
func requireBound(t *testing.T, argv ...string) {
	t.Helper()
	if preload == "" {
		return
	}
	logs := workDir(t)
	execute(t, program{argv: argv, proof: noPreload, env: []string{
		"LD_PRELOAD=" + preload, "LD_BIND_NOW=1",
		"LD_DEBUG=bindings", "LD_DEBUG_OUTPUT=" + filepath.Join(logs, "ld"),
	}})
	files, _ := filepath.Glob(filepath.Join(logs, "ld.*"))
	type binding struct{ from, to, symbol string }
	bindings := make(map[binding]bool)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bindingLine.FindAllStringSubmatch(string(data), -1) {
			if b := (binding{line[1], line[2], line[3]}); allocatorSymbols[b.symbol] && b.from != preload {
				bindings[b] = true
			}
		}
	}
	bound := 0
	for b := range bindings {
		// An executable at a fixed address that takes malloc's address (python3) stands for it in the whole
		// process with a stub, which is bound in its turn.
		if b.to != preload && !bindings[binding{b.to, preload, b.symbol}] {
			t.Errorf("%s: the loader bound %s of %s to %s", argv[0], b.symbol, b.from, b.to)
		}
		bound++
	}
	if bound == 0 {
		t.Errorf("%s: no reference to the allocator in %d processes", argv[0], len(files))
	}
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("%s: %d references to the allocator, all bound to the library", filepath.Base(argv[0]), bound)
}
