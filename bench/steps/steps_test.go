package steps

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

func TestExitsOfAStraightLine(t *testing.T) {
	code := []byte{
		0x48, 0x89, 0x07, // mov %rax,(%rdi)
		0x48, 0x85, 0xc0, // test %rax,%rax
		0x74, 0x10, // je +16, out
		0x48, 0xff, 0xc0, // inc %rax
		0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
	}
	exits, err := exitsOf(code, 1000, 1011)
	require.NoError(t, err)
	assert.Equal(t, map[uint64]int{1024: 3, 1011: 4}, exits)
	_, err = exitsOf([]byte{0x90, 0xeb, 0xfd, 0x90, 0x90}, 1000, 1004)
	assert.ErrorContains(t, err, "within the sequence")
}

// The shim's functions are known: what is counted must be them, the call and the PLT, and the same for each call.
func TestTheEmptyShimHasTheInstructionsItHas(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	root, err := lab.Root()
	require.NoError(t, err)
	l, err := lab.New(ctx, root, lab.Tiny)
	require.NoError(t, err)
	binary, err := l.CC.Program(ctx, "steps.c")
	require.NoError(t, err)
	shim, err := l.CC.Shared(ctx, "shim_empty.c")
	require.NoError(t, err)
	a, err := Count(ctx, binary, subject.Subject{Name: "empty", Preload: shim}, 64, 1, 3)
	if err != nil {
		t.Skipf("no tracing here: %v", err)
	}
	b, err := Count(ctx, binary, subject.Subject{Name: "empty", Preload: shim}, 64, 4, 5)
	require.NoError(t, err)
	assert.Equal(t, a.Malloc, b.Malloc)
	assert.Equal(t, a.Free, b.Free)
	assert.Less(t, a.Malloc, 20.0)
	assert.Greater(t, a.Malloc, 3.0)
	assert.Zero(t, a.Sequences)
}
