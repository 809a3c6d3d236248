package programs

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The suite's settings, made before the first test uses them and only read afterwards.
var (
	scratch  string // the directory below which all tests work; every user may enter it
	goTool   string // the go command, found before PATH was narrowed to Debian's directories
	packages map[string]bool

	findOnce sync.Once // findLibrary sets the others
	preload  string    // absolute path of the library's copy; empty where programs run without one
	absent   string    // why there is no library to test; empty where there is one
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run prepares the settings, runs the tests and removes the scratch directory, so that deferred calls are
// done before the process exits.
func run(m *testing.M) int {
	goTool, _ = exec.LookPath("go")
	var err error
	if packages, err = readPackages("packages.txt"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if scratch, err = os.MkdirTemp("", "vcm-programs-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	// PostgreSQL runs as another user, who must be able to reach its directory and the library.
	if err := os.Chmod(scratch, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Debian's programs only: a python or node that somebody installed elsewhere is another program.
	os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
	return m.Run()
}

// findLibrary copies the library under test to the scratch directory and sets preload, or sets absent. A
// test calls it, not TestMain, so that go test's cache knows that the result depends on what it reads.
func findLibrary() {
	path := os.Getenv("VCMTEST_LIB")
	switch path {
	case "none":
		return
	case "":
		path = filepath.Join("..", "..", "build", "libvcmalloc.so")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		absent = fmt.Sprintf("no library (%v): build it with make, or name another by VCMTEST_LIB", err)
		return
	}
	preload = filepath.Join(scratch, filepath.Base(path))
	if err := os.WriteFile(preload, data, 0o755); err != nil {
		absent = err.Error()
	}
}

// readPackages returns the names in a list of packages: one a line, comments from # on.
func readPackages(path string) (map[string]bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names := make(map[string]bool)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, _, _ := strings.Cut(lines.Text(), "#")
		if name = strings.TrimSpace(name); name != "" {
			names[name] = true
		}
	}
	return names, nil
}

// missing ends the test: as a failure where everything is required, otherwise as a skip.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("VCMTEST_REQUIRE_BUILD") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// needLibrary ends the test where there is no library to preload.
func needLibrary(t *testing.T) {
	t.Helper()
	findOnce.Do(findLibrary)
	if absent != "" {
		missing(t, "%s", absent)
	}
}

// need returns the path of a program (a name, or an absolute path, which may be a pattern), or ends the
// test naming the Debian package that brings it.
func need(t *testing.T, program, debianPackage string) string {
	t.Helper()
	if !packages[debianPackage] {
		t.Fatalf("package %s is not in packages.txt", debianPackage)
	}
	needLibrary(t)
	if filepath.IsAbs(program) {
		if found, _ := filepath.Glob(program); len(found) > 0 {
			return found[len(found)-1]
		}
	} else if path, err := exec.LookPath(program); err == nil {
		return path
	}
	missing(t, "%s is not on this machine: apt-get install %s", program, debianPackage)
	return ""
}

// source returns the absolute path of a file below testdata.
func source(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// goBuild builds a Go program with cgo, in this process's own environment.
func goBuild(t *testing.T, output, pkg string) {
	t.Helper()
	cmd := exec.Command(goTool, "build", "-o", output, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
}
