package programs

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pythonSuite is the slice of CPython's own regression tests that runs under the library. Patterns are
// those of python3 -m test -m and -i.
//
// All of it passes on Debian 12 without a preload. What is left out by ignore costs seconds of sleeping
// (the tests of timeouts), is repeated (the same tests once more for the pure-Python twin of a class), or
// leaks on purpose and lets the resource tracker complain (TestResourceTracker).
var pythonSuite = []struct {
	name   string // of the subtest
	module string
	match  []string // all cases where empty
	ignore []string
	least  int // cases that must have run, so that a changed pattern can't empty it
}{
	{name: "multiprocessing", module: "test_multiprocessing_fork",
		match:  []string{"*.WithProcesses*", "*.Test*", "*.OtherTest.*", "*._TestImportStar.*"},
		ignore: []string{"*.TestWait.*", "*.TestResourceTracker.*", "*.WithProcessesTestPoll*", "*.WithProcessesTestBarrier.*", "*.WithProcessesTestCondition.*", "test_thread_safety", "test_map_no_failfast"},
		least:  120},
	{name: "multiprocessing_spawn", module: "test_multiprocessing_spawn",
		match:  []string{"*.WithProcessesTestQueue.test_put", "*.WithProcessesTestPool.test_map*", "*.WithProcessesTestSharedMemory.*"},
		ignore: []string{"test_map_no_failfast", "test_shared_memory_SharedMemoryManager_reuses_resource_tracker"},
		least:  8},
	{name: "subprocess", module: "test_subprocess",
		ignore: []string{"test_check_output_timeout", "test_communicate_repeated_call_after_stdout_close", "*.ProcessTestCaseNoPoll.*"},
		least:  180},
	{name: "asyncio", module: "test_asyncio",
		match: []string{"test.test_asyncio.test_streams.*", "test.test_asyncio.test_queues.*", "test.test_asyncio.test_locks.*",
			"test.test_asyncio.test_futures.*", "test.test_asyncio.test_base_events.*", "test.test_asyncio.test_sock_lowlevel.*",
			"test.test_asyncio.test_timeouts.*", "test.test_asyncio.test_runners.*", "test.test_asyncio.test_unix_events.*",
			"test.test_asyncio.test_threads.*", "test.test_asyncio.test_sendfile.*", "*.CTask_CFuture_Tests.*",
			"*.SubprocessThreadedWatcherTests.*", "*.EPollEventLoopTests.*"},
		least: 700},
	{name: "threading", module: "test_threading", least: 150},
	{name: "thread", module: "test_thread", least: 15},
	{name: "ctypes", module: "test_ctypes", least: 400},
	{name: "json", module: "test_json", least: 150},
	{name: "re", module: "test_re", least: 120},
}

var pythonRan = regexp.MustCompile(`(?m)^Ran (\d+) tests? in`)

func TestPython(t *testing.T) {
	// The real interpreter: a link that a version manager put first in PATH is another one.
	python := need(t, "/usr/bin/python3", "python3")
	need(t, "/usr/lib/python3*/test/test_threading.py", "libpython3.11-testsuite")
	requireBound(t, python, "-c", "import ctypes, json, socket, ssl, sqlite3, _multiprocessing")
	// The suite waits more than it works: two run side by side (go test's -parallel).
	for _, suite := range pythonSuite {
		t.Run(suite.name, func(t *testing.T) {
			t.Parallel()
			// -E keeps PYTHON variables away, -v prints each case, so that one that hangs is named by the
			// tail of the output; faulthandler's dump comes well before our own limit.
			argv := []string{python, "-E", "-m", "test", "-v", "--timeout", "100"}
			for _, pattern := range suite.match {
				argv = append(argv, "-m", pattern)
			}
			for _, pattern := range suite.ignore {
				argv = append(argv, "-i", pattern)
			}
			argv = append(argv, suite.module)
			p := start(t, program{argv: argv, proof: proveByMaps, timeout: 2 * time.Minute})
			out := p.wait()
			ran := 0
			for _, line := range pythonRan.FindAllStringSubmatch(out+p.stderr.String(), -1) {
				n, _ := strconv.Atoi(line[1])
				ran += n
			}
			if !strings.Contains(out, "Tests result: SUCCESS") || ran < suite.least {
				p.fatalf("%d cases ran, expected at least %d and success", ran, suite.least)
			}
			t.Logf("%d cases", ran)
		})
	}
}
