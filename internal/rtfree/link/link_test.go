package main

import (
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/rtfree"
)

const (
	stub      = "fixtures/stub.Panic"
	entryFlag = "fixtures/clean.Entry=vcm_clean"
)

func mustRun(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOWORK=off", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %s\n%s", program, strings.Join(args, " "), out)
}

// link runs the tool as the Makefile does.
func link(t *testing.T, args ...string) error {
	t.Helper()
	o, err := parse(args)
	if err != nil {
		return err
	}
	return run(o)
}

// Everything here shares one build of the fixtures, hence the subtests.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	fixtures, err := filepath.Abs("../testdata/fixtures")
	require.NoError(t, err)
	sources, err := filepath.Abs("testdata")
	require.NoError(t, err)
	mustRun(t, fixtures, "go", "build", "-buildmode=c-archive", "-ldflags=-w", "-o", filepath.Join(dir, "all.a"), "./shim")
	mustRun(t, dir, "ar", "x", "all.a")
	goObject := filepath.Join(dir, "go.o")
	program := func(name string, args ...string) string {
		core := filepath.Join(dir, name+".o")
		require.NoError(t, link(t, append(args, "-in", goObject, "-out", core, "-entry", entryFlag)...))
		cgo, err := filepath.Glob(filepath.Join(dir, "0*.o"))
		require.NoError(t, err)
		out := filepath.Join(dir, name)
		mustRun(t, sources, "gcc", append([]string{"-O2", "-pie", "-Wl,--gc-sections", "-o", out, "main.c", "entry.S", core, "-lpthread"}, cgo...)...)
		return out
	}
	check := rtfree.Config{
		Object:    goObject,
		Entries:   []rtfree.Entry{{Go: "fixtures/clean.Entry", C: "vcm_clean"}},
		Core:      []string{"fixtures/clean", "fixtures/stub"},
		PanicStub: stub,
		Indirect:  map[string]int{"fixtures/clean.callC": 0},
	}

	t.Run("a C program runs Go without its runtime", func(t *testing.T) {
		bin := program("patched", "-stub", stub)
		mustRun(t, dir, bin)
		out, err := exec.Command(bin, "fail").CombinedOutput()
		var exit *exec.ExitError
		require.True(t, errors.As(err, &exit), "a failed bounds check must end the program: %v", err)
		require.Equal(t, 99, exit.ExitCode(), "it ended elsewhere than in the stub: %v", err)
		require.Equal(t, "fatal\n", string(out))

		check.Linked = bin
		r, err := rtfree.Check(check)
		require.NoError(t, err)
		require.NoError(t, r.Err())
		check.Linked = filepath.Join(dir, "patched.o") // the object serves too
		r, err = rtfree.Check(check)
		require.NoError(t, err)
		require.NoError(t, r.Err())
	})

	t.Run("the proof sees that panics were not redirected", func(t *testing.T) {
		check.Linked = program("unpatched")
		r, err := rtfree.Check(check)
		require.NoError(t, err)
		require.NotEmpty(t, r.Violations)
		for _, v := range r.Violations {
			require.Equal(t, rtfree.Unpatched, v.Kind)
		}
		require.Contains(t, r.Violations[0].Where, "clean/clean.go:")
		require.ErrorContains(t, r.Err(), "runtime.panicBounds does not jump to "+stub)
	})

	t.Run("the object", func(t *testing.T) {
		f, err := elf.Open(filepath.Join(dir, "patched.o"))
		require.NoError(t, err)
		defer f.Close()
		for _, s := range f.Sections {
			require.NotEqual(t, ".init_array", s.Name)
			if s.Type == elf.SHT_RELA && s.Size > 0 {
				require.Equal(t, ".rela.text", s.Name, "relocations of data are left")
			}
		}
		symbols, err := f.Symbols()
		require.NoError(t, err)
		global := map[string]bool{}
		for _, s := range symbols {
			global[s.Name] = elf.ST_BIND(s.Info) == elf.STB_GLOBAL
		}
		require.True(t, global["vcm_clean"])
		require.True(t, global["go_tlsg"])
	})

	t.Run("missing symbols are named", func(t *testing.T) {
		out := filepath.Join(dir, "none.o")
		err := link(t, "-in", goObject, "-out", out, "-entry", "a.b=c", "-entry", "d.e=f", "-entry", entryFlag)
		require.ErrorContains(t, err, "no symbol a.b")
		require.ErrorContains(t, err, "no symbol d.e")
		err = link(t, "-in", goObject, "-out", out, "-entry", entryFlag, "-stub", "x.stub")
		require.ErrorContains(t, err, "no symbol x.stub")
		require.ErrorContains(t, link(t, "-in", goObject, "-out", out), "no entry points")
		require.NoFileExists(t, out)
	})
}
