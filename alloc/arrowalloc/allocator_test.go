package arrowalloc_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/alloc"
	"github.com/vcmalloc/vcmalloc/alloc/arrowalloc"
)

var _ memory.Allocator = (*arrowalloc.Allocator)(nil)

func TestArraysLiveOffHeapAndGiveEverythingBack(t *testing.T) {
	pool := arrowalloc.New()
	before := alloc.ReadStats().Usable
	b := array.NewStringBuilder(pool)
	for range 10_000 {
		b.Append("a value")
	}
	a := b.NewStringArray()
	b.Release()
	require.Greater(t, pool.AllocatedBytes(), int64(70_000))
	require.GreaterOrEqual(t, alloc.ReadStats().Usable-before, uintptr(pool.AllocatedBytes()))
	require.Equal(t, "a value", a.Value(9999))
	a.Release()
	pool.AssertSize(t, 0)
	require.Equal(t, before, alloc.ReadStats().Usable)
}

// goAllocator stands in for Arrow's file of that name.
const goAllocator = `package memory

import "github.com/vcmalloc/vcmalloc/alloc/arrowalloc"

type GoAllocator struct{ a arrowalloc.Allocator }

func NewGoAllocator() *GoAllocator { return &GoAllocator{} }

func (g *GoAllocator) Allocate(size int) []byte { return g.a.Allocate(size) }

func (g *GoAllocator) Reallocate(size int, b []byte) []byte { return g.a.Reallocate(size, b) }

func (g *GoAllocator) Free(b []byte) { g.a.Free(b) }

var _ Allocator = (*GoAllocator)(nil)
`

// Arrow's own tests of its allocators pass with this allocator in the place of its Go allocator, and its C
// allocator's tests with this one in the place of that; with VCMTEST_LONG=1 also those of arrays.
func TestArrowsOwnTestsPass(t *testing.T) {
	if testing.Short() {
		t.Skip("builds Arrow")
	}
	run := func(dir, name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GO111MODULE=on")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	here, err := os.Getwd()
	require.NoError(t, err)
	source := run(here, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/apache/arrow-go/v18")
	dir := t.TempDir()
	for _, part := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(source, part))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, part), b, 0o644))
	}
	for _, part := range []string{"arrow", "internal", "parquet"} {
		require.NoError(t, os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(source, part))))
	}
	run(dir, "chmod", "-R", "u+w", ".")
	run(dir, "go", "mod", "edit", "-require=github.com/vcmalloc/vcmalloc@v0.0.0", "-replace=github.com/vcmalloc/vcmalloc="+filepath.Join(here, "..", ".."),
		"-require=github.com/vcmalloc/vcmalloc/alloc/arrowalloc@v0.0.0", "-replace=github.com/vcmalloc/vcmalloc/alloc/arrowalloc="+here)
	mem := filepath.Join(dir, "arrow", "memory")
	require.NoError(t, os.WriteFile(filepath.Join(mem, "go_allocator.go"), []byte(goAllocator), 0o644))

	// The C allocator's tests, addressed to ours; the alignment of 16 that one test asks for is less than ours.
	b, err := os.ReadFile(filepath.Join(mem, "mallocator", "mallocator_test.go"))
	require.NoError(t, err)
	patched := strings.NewReplacer(
		"github.com/apache/arrow-go/v18/arrow/memory/mallocator", "github.com/vcmalloc/vcmalloc/alloc/arrowalloc",
		"package mallocator_test", "package memory_test",
		"mallocator.NewMallocatorWithAlignment(16)", "arrowalloc.New()",
		"mallocator.NewMallocator()", "arrowalloc.New()",
		"mallocator: negative size", "arrowalloc: negative size",
	).Replace(string(b))
	require.NotContains(t, patched, "mallocator.")
	_, patched, _ = strings.Cut(patched, "package memory_test") // without the build tag for C
	require.NoError(t, os.WriteFile(filepath.Join(mem, "ours_test.go"), []byte("package memory_test"+patched), 0o644))

	args := []string{"test", "-count=1", "-v", "-vet=off"}
	if os.Getenv("VCMTEST_LONG") == "1" { // a minute to build
		// The generator of random list views (v18.8.0) releases its buffers before they are read, which shows with
		// every allocator that frees.
		args = append(args, "-skip", "TestConcatenate/(large_)?list_view", "./arrow/array")
	}
	args = append(args, "./arrow/memory")
	out := run(dir, "go", args...)
	for _, name := range []string{"TestGoAllocator_Allocate", "TestGoAllocator_Reallocate", "TestMallocatorReallocate", "TestNewResizableBuffer"} {
		require.Contains(t, out, "--- PASS: "+name)
	}
	t.Logf("%d of Arrow's tests passed", strings.Count(out, "--- PASS"))
}
