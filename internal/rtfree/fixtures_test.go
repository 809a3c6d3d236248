package rtfree

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const stubSymbol = "fixtures/stub.Panic"

// tempDir outlives the single tests, which share one build of the fixtures.
var tempDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "rtfree")
	if err != nil {
		panic(err)
	}
	tempDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// run executes a program in dir and returns its output.
func run(dir, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOWORK=off", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustRun(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	out, err := run(dir, program, args...)
	require.NoError(t, err, "%s %s\n%s", program, strings.Join(args, " "), out)
	return out
}

func fixtureDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("testdata/fixtures")
	require.NoError(t, err)
	return dir
}

var buildOnce sync.Once

// fixtureObject builds all the fixtures into one archive, once, and returns its go.o.
func fixtureObject(t *testing.T) string {
	t.Helper()
	object := filepath.Join(tempDir, "go.o")
	buildOnce.Do(func() {
		mustRun(t, fixtureDir(t), "go", "build", "-buildmode=c-archive", "-ldflags=-w", "-o", filepath.Join(tempDir, "all.a"), "./shim")
		mustRun(t, tempDir, "ar", "x", "all.a")
	})
	require.FileExists(t, object, "the fixtures did not build")
	return object
}

func fixture(t *testing.T, name string) Config {
	t.Helper()
	return Config{
		Object:    fixtureObject(t),
		Entries:   []Entry{{Go: "fixtures/" + name + ".Entry", C: "vcm_" + name}},
		Core:      []string{"fixtures/" + name, "fixtures/stub"},
		PanicStub: stubSymbol,
		Indirect:  map[string]int{"fixtures/clean.callC": 256},
	}
}
