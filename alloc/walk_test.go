//go:build !race

package alloc

import (
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// On the version of Go that the offsets were read from, the fast way is the one in use.
func TestMallocIsTheAssemblyOnTheSupportedGo(t *testing.T) {
	if !strings.HasPrefix(runtime.Version(), "go1.26") {
		t.Skip("another version of Go: its offsets may differ, and then portable.go serves")
	}
	require.True(t, walked)
}

// The walk's number is that of procPin on every P, from goroutines that move between them.
func TestTheWalkFindsTheNumberOfEveryP(t *testing.T) {
	if !walked {
		t.Skip("not in use")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	var mu sync.Mutex
	seen := map[uintptr]bool{}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 2000 {
				v := procPin()
				w := procNumber()
				procUnpin()
				if w != uintptr(v) {
					t.Errorf("the walk led to P %d on P %d", w, v)
					return
				}
				mu.Lock()
				seen[w] = true
				mu.Unlock()
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	require.Greater(t, len(seen), 1)
}

// The functions for other versions of Go serve as well.
func TestPortableMallocAndFree(t *testing.T) {
	for _, n := range []uintptr{0, 1, 64, 1024, 1025, 5000, 100_000, 300 << 10} {
		for range 100 { // over hits and misses
			p, err := mallocPortable(n)
			require.NoError(t, err)
			q, err := Malloc(n)
			require.NoError(t, err)
			require.NotEqual(t, p, q)
			freePortable(q)
			free(p)
		}
	}
}
