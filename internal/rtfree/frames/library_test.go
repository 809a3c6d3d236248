package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/rtfree"
)

const (
	module = "github.com/vcmalloc/vcmalloc/"
	stub   = module + "internal/sys.PanicStub"
)

// requireBuild returns the folder with what `make` built. VCMTEST_BUILD names another,
// VCMTEST_REQUIRE_BUILD=1 turns a missing build into a failure.
func requireBuild(t *testing.T) string {
	t.Helper()
	build := os.Getenv("VCMTEST_BUILD")
	if build == "" {
		build = "../../../build"
	}
	build, err := filepath.Abs(build)
	require.NoError(t, err)
	for _, name := range []string{"core.o", "libvcmalloc.so", "libvcmalloc.so.debug"} {
		if _, err := os.Stat(filepath.Join(build, name)); err != nil {
			if os.Getenv("VCMTEST_REQUIRE_BUILD") == "1" {
				t.Fatalf("%v: run make first", err)
			}
			t.Skipf("%v: run make first (VCMTEST_REQUIRE_BUILD=1 makes this a failure)", err)
		}
	}
	return build
}

func section(t *testing.T, f *elf.File, name string) ([]byte, uint64) {
	t.Helper()
	s := f.Section(name)
	require.NotNil(t, s, "no %s", name)
	data, err := s.Data()
	require.NoError(t, err)
	return data, s.Addr
}

// symbols are the addresses of the library's functions before stripping.
func symbols(t *testing.T, f *elf.File) map[string]uint64 {
	t.Helper()
	list, err := f.Symbols()
	require.NoError(t, err)
	addr := map[string]uint64{}
	for _, s := range list {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Section != elf.SHN_UNDEF {
			addr[s.Name] = s.Value
		}
	}
	return addr
}

// described returns the functions that the tool describes.
func described(t *testing.T, build string) []*framed {
	t.Helper()
	entries, err := rtfree.ReadEntries("../../../cgo/entries.txt")
	require.NoError(t, err)
	img, err := load(filepath.Join(build, "core.o"))
	require.NoError(t, err)
	functions, err := reach(img, entries, stub)
	require.NoError(t, err)
	return functions
}

// TestLibraryTables reads the tables back from the linked library: at every instruction the rule is the tool's,
// and agrees with the account that the Go linker gives in .debug_frame, from the assembler's own bookkeeping.
func TestLibraryTables(t *testing.T) {
	build := requireBuild(t)
	lib, err := elf.Open(filepath.Join(build, "libvcmalloc.so.debug"))
	require.NoError(t, err)
	defer lib.Close()
	address := symbols(t, lib)
	functions := described(t, build)
	wanted := map[uint64]bool{}
	for _, f := range functions {
		require.Contains(t, address, f.name)
		wanted[address[f.name]] = true
	}
	ehFrame, ehAddr := section(t, lib, ".eh_frame")
	eh, err := readTables(ehFrame, ehAddr, true, func(pc uint64) bool { return wanted[pc] })
	require.NoError(t, err)
	debugFrame, _ := section(t, lib, ".debug_frame")
	debug, err := readTables(debugFrame, 0, false, func(pc uint64) bool { return wanted[pc] })
	require.NoError(t, err)

	instructions := 0
	var lost []string
	for _, f := range functions {
		begin := address[f.name]
		have, golang := eh[begin], debug[begin]
		require.NotNil(t, have, "%s is not described", f.name)
		require.NotNil(t, golang, f.name)
		require.Equal(t, begin+f.size, have.end, f.name)
		known := true
		for pc, want := range f.rules {
			at := pc - f.addr + begin
			require.Equal(t, want, have.at(at), "%s+%#x", f.name, pc-f.addr)
			if depth := f.depths[pc]; depth == unknown {
				known = false
			} else if known = known && f.name != stub+".abi0"; known {
				require.Equal(t, golang.at(at).cfaOffset, depth+8, "%s+%#x", f.name, pc-f.addr)
			}
			instructions++
		}
		if !known {
			lost = append(lost, f.name)
		}
	}
	require.ElementsMatch(t, []string{module + "internal/sys.CallC.abi0", stub + ".abi0"}, lost,
		"other functions than these round the stack pointer")
	t.Logf("%d functions, %d instructions", len(functions), instructions)
}

// TestStrippedLibrary looks at what an unwinder finds in the library that ships: the same table, and an index of
// it that is complete.
func TestStrippedLibrary(t *testing.T) {
	build := requireBuild(t)
	var frames [2][]byte
	for i, name := range []string{"libvcmalloc.so.debug", "libvcmalloc.so"} {
		lib, err := elf.Open(filepath.Join(build, name))
		require.NoError(t, err)
		defer lib.Close()
		frames[i], _ = section(t, lib, ".eh_frame")
		index, _ := section(t, lib, ".eh_frame_hdr")
		require.Equal(t, []byte{1, 0x1b, 0x03, 0x3b}, index[:4], "%s: no search table", name)
		n := int(binary.LittleEndian.Uint32(index[8:]))
		require.Greater(t, n, len(described(t, build)))
		require.Len(t, index[12:], 8*n)
	}
	require.True(t, bytes.Equal(frames[0], frames[1]))
}

// preloaded compiles testdata/unwind.c and returns a function that runs it under the library.
func preloaded(t *testing.T, build string) func(env string, args ...string) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc not found: install the Debian package gcc")
	}
	program := filepath.Join(t.TempDir(), "unwind")
	out, err := exec.Command(gcc, "-O2", "-g", "-Wall", "-Wextra", "-o", program, "testdata/unwind.c", "-ldl").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return func(env string, args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, args...)
		ours := func(v string) bool { return strings.HasPrefix(v, "VCMALLOC_") } // settings for the tests, not the library
		cmd.Env = append(slices.DeleteFunc(os.Environ(), ours), "LD_PRELOAD="+filepath.Join(build, "libvcmalloc.so"), env)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "unwind %s\n%s", strings.Join(args, " "), out)
		t.Logf("%s", out)
		return string(out)
	}
}

// TestEveryStep unwinds at each instruction that a run of the slow paths executes. There are no restartable
// sequences in it: a trap sends the thread back to their start, for ever.
func TestEveryStep(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	build := requireBuild(t)
	run := preloaded(t, build)
	file := filepath.Join(t.TempDir(), "visited")
	run("VCMALLOC_VCPU=lock", "step", "40", file)

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	visited := map[uint64]bool{}
	for _, line := range strings.Fields(string(text)) {
		pc, err := strconv.ParseUint(line, 16, 64)
		require.NoError(t, err)
		visited[pc] = true
	}
	lib, err := elf.Open(filepath.Join(build, "libvcmalloc.so.debug"))
	require.NoError(t, err)
	defer lib.Close()
	address := symbols(t, lib)
	functions, entered, instructions, all := described(t, build), 0, 0, 0
	for _, f := range functions {
		begin := address[f.name]
		if visited[begin] {
			entered++
		}
		for pc := range f.rules {
			all++
			if visited[pc-f.addr+begin] {
				instructions++
			}
		}
	}
	t.Logf("entered %d of %d Go functions, executed %d of %d instructions", entered, len(functions), instructions, all)
	require.Greater(t, entered, 80)
	require.Greater(t, instructions, 3000)
}

// TestTimer unwinds wherever a timer happens to interrupt, restartable sequences included.
func TestTimer(t *testing.T) {
	run := preloaded(t, requireBuild(t))
	var interrupts, unwound int
	out := run("", "storm", "5000")
	_, err := fmt.Sscanf(out, "%d interrupts, %d unwound", &interrupts, &unwound)
	require.NoError(t, err)
	require.Greater(t, unwound, 1000, "too few interrupts in the library to tell")
}

// TestAssembly steps through the two functions that round the stack pointer down, from stacks of both alignments:
// the way from Go to C and back, and the stub in which a failed check of the language ends, up to the abort.
func TestAssembly(t *testing.T) {
	build := requireBuild(t)
	lib, err := elf.Open(filepath.Join(build, "libvcmalloc.so.debug"))
	require.NoError(t, err)
	defer lib.Close()
	address := symbols(t, lib)
	run := preloaded(t, build)
	for name, want := range map[string]string{stub: "aborted", module + "internal/sys.CallC": "18 unwound"} {
		offset := fmt.Sprint(int64(address[name+".abi0"]) - int64(address["malloc"]))
		for _, pad := range []string{"64", "72"} {
			require.Contains(t, run("VCMALLOC_VCPU=lock", "call", offset, pad), want)
		}
	}
}
