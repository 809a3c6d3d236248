package ctest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var long = flag.Bool("long", os.Getenv("VCMTEST_LONG") == "1", "long runs of the stress programs")

// libraryPath is the library under test, absolute; "none" for the C library's own allocator.
var libraryPath string

func plain() bool { return libraryPath == "none" }

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "ctest:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	var err error
	if libraryPath, err = findLibrary(); err != nil {
		return 0, err
	}
	// Programs die on purpose: no core files.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return 0, err
	}
	if dir := os.Getenv("VCMTEST_DIR"); dir != "" {
		if dir, err = filepath.Abs(dir); err != nil {
			return 0, err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return 0, err
		}
		build.dir, build.keep = dir, true
	} else {
		if build.dir, err = os.MkdirTemp("", "vcmalloc-ctest-"); err != nil {
			return 0, err
		}
		defer os.RemoveAll(build.dir)
	}
	return m.Run(), nil
}

// findLibrary takes VCMTEST_LIB, or build/libvcmalloc.so below the module's root.
func findLibrary() (string, error) {
	if lib := os.Getenv("VCMTEST_LIB"); lib == "none" {
		return lib, nil
	} else if lib != "" {
		if !filepath.IsAbs(lib) {
			return "", fmt.Errorf("VCMTEST_LIB=%s: give an absolute path, or none", lib)
		}
		return lib, nil
	}
	root, err := filepath.Abs("../..")
	return filepath.Join(root, "build", "libvcmalloc.so"), err
}

// requireLibrary skips, or fails where VCMTEST_REQUIRE_BUILD=1, when there is no library to test.
func requireLibrary(t *testing.T) {
	t.Helper()
	// Read once more: the go command keys its cache of test results by what is read within tests, and
	// TestMain is not.
	if now, err := findLibrary(); err != nil || now != libraryPath {
		t.Fatalf("library %q, then %q: %v", libraryPath, now, err)
	}
	_ = os.Getenv("VCMTEST_LONG")
	if plain() {
		return
	}
	if _, err := os.Stat(libraryPath); err != nil {
		msg := fmt.Sprintf("%v: build it with make, or set VCMTEST_LIB (none: the programs on the C library's allocator)", err)
		if os.Getenv("VCMTEST_REQUIRE_BUILD") == "1" {
			t.Fatal(msg)
		}
		t.Skip(msg)
	}
}

// each runs a test for every program of a folder, in parallel unless the program must be alone.
func each(t *testing.T, folder string, f func(t *testing.T, p *program)) {
	t.Helper()
	requireLibrary(t)
	for _, p := range programs(t, folder) {
		if p.norun {
			continue
		}
		t.Run(strings.TrimSuffix(p.name, ".c"), func(t *testing.T) {
			if plain() && p.only != "" {
				t.Skipf("%s promises this, the C library does not", p.only)
			}
			if !p.serial {
				t.Parallel()
			}
			f(t, p)
		})
	}
}

// succeed runs a program and requires it to end well.
func succeed(t *testing.T, p *program, extraEnv []string, argv ...string) {
	t.Helper()
	timeout := p.timeout
	if *long {
		timeout *= 4
	}
	r := run(t, timeout, extraEnv, argv...)
	if r.ok() {
		lines := strings.Split(strings.TrimSuffix(r.stdout, "ok\n"), "\n")
		if len(lines) > 1 {
			t.Log(lines[len(lines)-2]) // the figures it ends with
		}
		return
	}
	if r.signal() != 0 && !r.hung {
		r.backtraces = crashBacktrace(timeout, extraEnv, argv...)
	}
	t.Errorf("%s: %v", p.path, r)
}

// TestConformance holds the library to one promise of the contract per program.
func TestConformance(t *testing.T) {
	each(t, "conformance", func(t *testing.T, p *program) {
		exe := mustBuild(t, p)
		succeed(t, p, p.env, exe)
	})
}

// TestStress runs the life, thread, fork, signal, limit and fuzz programs.
func TestStress(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	each(t, "stress", func(t *testing.T, p *program) {
		exe := mustBuild(t, p)
		runs := p.runs
		if *long {
			runs = p.longRuns
		} else if os.Getenv("VCMTEST_BRIEF") == "1" {
			runs = p.norseq
		}
		for _, args := range runs {
			if len(runs) == 1 {
				succeed(t, p, p.env, append([]string{exe}, strings.Fields(args)...)...)
				continue
			}
			t.Run(args, func(t *testing.T) {
				succeed(t, p, p.env, append([]string{exe}, strings.Fields(args)...)...)
			})
		}
	})
}
