package rtfree

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/vcmalloc/vcmalloc/"

// corePackages are the packages that C runs without the Go runtime. A package that isn't written yet is skipped.
var corePackages = []string{
	"internal/sys", "internal/units", "internal/vm", "internal/sizeclass", "internal/pagemap", "internal/span",
	"internal/heap", "internal/config", "internal/pressure", "internal/cdoor", "percpu", "transfer", "centralfreelist", "pageheap", "topology", "telemetry/block",
}

// TestLibraryIsRuntimeFree checks what `make` built: go.o, and the library linked from it before stripping.
// VCMTEST_BUILD names the build folder, VCMTEST_REQUIRE_BUILD=1 turns a missing build into a failure.
func TestLibraryIsRuntimeFree(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	build := os.Getenv("VCMTEST_BUILD")
	if build == "" {
		build = filepath.Join(root, "build")
	}
	cfg := Config{
		Object:    filepath.Join(build, "go.o"),
		Linked:    filepath.Join(build, "libvcmalloc.so.debug"),
		PanicStub: module + "internal/sys.PanicStub",
		// The restartable sequences: leaf assembly that pushes nothing.
		Indirect: map[string]int{module + "internal/sys.CallC": 256},
		Dir:      root,
	}
	entries := filepath.Join(root, "cgo", "entries.txt")
	for _, path := range []string{cfg.Object, cfg.Linked, entries} {
		if _, err := os.Stat(path); err != nil {
			if os.Getenv("VCMTEST_REQUIRE_BUILD") == "1" {
				t.Fatalf("%v: run make first", err)
			}
			t.Skipf("%v: run make first (VCMTEST_REQUIRE_BUILD=1 makes this a failure)", err)
		}
	}
	cfg.Entries, err = ReadEntries(entries)
	require.NoError(t, err)
	for _, pkg := range corePackages {
		if files, _ := filepath.Glob(filepath.Join(root, pkg, "*.go")); len(files) > 0 {
			cfg.Core = append(cfg.Core, module+pkg)
		}
	}
	r, err := Check(cfg)
	require.NoError(t, err)
	t.Logf("stack of each entry, of %d bytes, with its deepest path:\n%s", DefaultMaxStack, r)
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}
