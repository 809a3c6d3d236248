package alloc_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/alloc"
)

func bytesOf(p unsafe.Pointer, n uintptr) []byte { return unsafe.Slice((*byte)(p), n) }

func fill(p unsafe.Pointer, n uintptr, seed byte) {
	for i, b := 0, bytesOf(p, n); i < len(b); i += 61 {
		b[i] = seed + byte(i)
	}
}

func holds(p unsafe.Pointer, n uintptr, seed byte) bool {
	for i, b := 0, bytesOf(p, n); i < len(b); i += 61 {
		if b[i] != seed+byte(i) {
			return false
		}
	}
	return true
}

func TestEverySizeIsAlignedUsableAndKeptThroughRealloc(t *testing.T) {
	for _, n := range []uintptr{0, 1, 8, 15, 16, 100, 1024, 1025, 8192, 100_000, 256 << 10, 256<<10 + 1, 2 << 20, 5 << 20} {
		p, err := alloc.Malloc(n)
		require.NoError(t, err)
		require.Zero(t, uintptr(p)&15)
		require.GreaterOrEqual(t, alloc.UsableSize(p), n)
		fill(p, n, 7)
		for _, to := range []uintptr{n + 1, 3*n + 9, 7*n + 3<<20, n/2 + 1} {
			q, err := alloc.Realloc(p, to)
			require.NoError(t, err)
			require.True(t, holds(q, min(n, to), 7), "realloc %d to %d", n, to)
			p = q
			fill(p, min(n, to), 7)
			n = min(n, to)
		}
		alloc.Free(p)
	}
}

func TestCallocReadsAsZeroAfterDirtyReuse(t *testing.T) {
	for _, n := range []uintptr{1, 100, 5000, 300 << 10, 3 << 20} {
		for range 3 {
			p, err := alloc.Calloc(n, 1)
			require.NoError(t, err)
			require.Equal(t, int(n), bytes.Count(bytesOf(p, n), []byte{0}))
			clear(bytesOf(p, n))
			fill(p, n, 1)
			alloc.Free(p)
		}
	}
}

func TestAlignments(t *testing.T) {
	for a := uintptr(1); a <= 1<<26; a <<= 1 {
		p, err := alloc.AlignedAlloc(100, a)
		require.NoError(t, err)
		require.Zero(t, uintptr(p)&(a-1))
		alloc.Free(p)
	}
	for _, a := range []uintptr{0, 3, 24} {
		_, err := alloc.AlignedAlloc(100, a)
		require.ErrorIs(t, err, alloc.ErrAlignment)
	}
}

func TestImpossibleRequestsAreErrors(t *testing.T) {
	for _, n := range []uintptr{1 << 46, 1 << 62, ^uintptr(0)} {
		_, err := alloc.Malloc(n)
		require.True(t, errors.Is(err, alloc.ErrOutOfMemory))
	}
	_, err := alloc.Calloc(1<<40, 1<<40)
	require.ErrorIs(t, err, alloc.ErrOutOfMemory)
	p, err := alloc.Malloc(10)
	require.NoError(t, err)
	_, err = alloc.Realloc(p, ^uintptr(0))
	require.ErrorIs(t, err, alloc.ErrOutOfMemory)
	require.GreaterOrEqual(t, alloc.UsableSize(p), uintptr(10))
	alloc.FreeSized(p, 10)
	alloc.Free(nil)
}

// Goroutines allocate and free each other's objects; every object keeps its pattern until it is freed, and
// at the end nothing is in use that was not before.
func TestGoroutinesShareTheHeap(t *testing.T) {
	type object struct {
		p    unsafe.Pointer
		n    uintptr
		seed byte
	}
	before := alloc.ReadStats().Usable
	hand := make(chan object, 10_000)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 20_000 {
				n := r.Uint64N(1 << r.UintN(15))
				p, err := alloc.Malloc(uintptr(n))
				if err != nil {
					t.Error(err)
					return
				}
				o := object{p, uintptr(n), byte(n)}
				fill(o.p, o.n, o.seed)
				select {
				case hand <- o:
					select {
					case o = <-hand: // most likely another goroutine's
					default:
						continue
					}
				default: // full: this one is not passed on
				}
				if !holds(o.p, o.n, o.seed) {
					t.Errorf("object of %d bytes damaged", o.n)
				}
				alloc.Free(o.p)
			}
		})
	}
	wg.Wait()
	close(hand)
	for o := range hand {
		require.True(t, holds(o.p, o.n, o.seed))
		alloc.Free(o.p)
	}
	require.Equal(t, before, alloc.ReadStats().Usable)
}
