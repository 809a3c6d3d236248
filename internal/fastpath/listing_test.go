package fastpath

import (
	"debug/elf"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/arch/x86/x86asm"

	"github.com/vcmalloc/vcmalloc/percpu"
)

var update = flag.Bool("update", false, "write cgo/fast.golden from the built library")

const (
	library = "../../build/libvcmalloc.so.debug"
	golden  = "../../cgo/fast.golden"
)

// entries are malloc, free, C23's sized free, operator new and the sized operator delete.
var entries = []string{"malloc", "free", "free_sized", "_Znwm", "_ZdlPvm"}

func built(t *testing.T) []Listing {
	t.Helper()
	if _, err := os.Stat(library); err != nil {
		if os.Getenv("VCMTEST_REQUIRE_BUILD") != "" {
			t.Fatal("the library is not built")
		}
		t.Skip("the library is not built: run make")
	}
	all, err := Read(library, entries...)
	require.NoError(t, err)
	return all
}

func TestFastPathsAreTheReviewedOnes(t *testing.T) {
	var b strings.Builder
	for _, l := range built(t) {
		b.WriteString(l.String() + "\n")
	}
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), b.String(), "review the change, then: go test ./internal/fastpath -update")
}

// What the known good path has, and what a hit must never do.
func TestAHitIsStraightAndShort(t *testing.T) {
	for _, l := range built(t) {
		limit := 5 // sized deletes compare twice more: the size with the table's reach, its class with the object's
		if strings.HasSuffix(l.Name, "m") || strings.HasSuffix(l.Name, "sized") {
			limit = 7
		}
		assert.LessOrEqual(t, l.Path.Compares, limit, l.Name)
		assert.LessOrEqual(t, l.Path.Jumps, limit, l.Name)
		assert.LessOrEqual(t, l.Path.Stores, 4, l.Name)
		for _, line := range l.Text[:l.Path.Instructions] {
			assert.NotContains(t, line, "call", "%s leaves its straight line", l.Name)
			assert.NotContains(t, line, "lock", "%s: a hit takes no lock", l.Name)
			assert.NotContains(t, line, ".got", "%s goes through the GOT", l.Name)
			assert.NotContains(t, line, ".plt", "%s goes through the PLT", l.Name)
		}
	}
}

// A load that shares the low 12 bits of a header just stored waits for it: docs/design.md.
func TestConstantsShareNoLowBitsWithSlabHeaders(t *testing.T) {
	built(t)
	f, err := elf.Open(library)
	require.NoError(t, err)
	defer f.Close()
	symbols, err := f.Symbols()
	require.NoError(t, err)
	found := false
	for _, s := range symbols {
		if s.Name == "vcm_fast" {
			found = true
			assert.GreaterOrEqual(t, s.Value%4096, uint64(percpu.EndsAt+percpu.EndsAt/4), "beside headers or ends")
			assert.Less(t, s.Value%4096+128, uint64(4096), "the first words reach the next page, and headers there")
		}
	}
	assert.True(t, found, "vcm_fast is gone")
}

func TestCounting(t *testing.T) {
	for _, c := range []struct {
		code []byte
		want Counts
	}{
		{[]byte{0x48, 0x89, 0x08}, Counts{1, 0, 0, 0, 1}},       // mov [rax], rcx
		{[]byte{0x48, 0x8b, 0x08}, Counts{1, 0, 0, 1, 0}},       // mov rcx, [rax]
		{[]byte{0x48, 0x01, 0x08}, Counts{1, 0, 0, 1, 1}},       // add [rax], rcx
		{[]byte{0x48, 0x39, 0x08}, Counts{1, 1, 0, 1, 0}},       // cmp [rax], rcx
		{[]byte{0xf6, 0xc1, 0x01}, Counts{1, 1, 0, 0, 0}},       // test cl, 1
		{[]byte{0x75, 0x00}, Counts{1, 0, 1, 0, 0}},             // jne
		{[]byte{0xeb, 0x00}, Counts{1, 0, 0, 0, 0}},             // jmp
		{[]byte{0x48, 0x8d, 0x08}, Counts{1, 0, 0, 0, 0}},       // lea rcx, [rax]
		{[]byte{0x0f, 0x18, 0x08}, Counts{1, 0, 0, 0, 0}},       // prefetcht0 [rax]
		{[]byte{0x0f, 0xaf, 0x08}, Counts{1, 0, 0, 1, 0}},       // imul ecx, [rax]
		{[]byte{0x66, 0x0f, 0xb6, 0x08}, Counts{1, 0, 0, 1, 0}}, // movzx cx, byte [rax]
	} {
		i, err := x86asm.Decode(c.code, 64)
		require.NoError(t, err)
		var got Counts
		got.add(i)
		assert.Equal(t, c.want, got, i.String())
	}
}

func TestMissingFunctionsAreErrors(t *testing.T) {
	built(t)
	_, err := Read(library, "no_such_function")
	assert.ErrorContains(t, err, "no_such_function")
}
