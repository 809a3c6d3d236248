package alloc_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/alloc"
)

func TestArenaMemoryIsDisjointAlignedAndZeroed(t *testing.T) {
	a := alloc.NewArena(0)
	defer a.Free()
	for round := range 3 {
		type piece struct {
			p unsafe.Pointer
			n uintptr
		}
		var all []piece
		for i := range 3000 {
			n, align := uintptr(i*7%900), uintptr(1)<<(i%8)
			if i%700 == 699 {
				n, align = 700<<10, 1<<21
			}
			p, err := a.Alloc(n, align, i%2 == 0)
			require.NoError(t, err)
			require.Zero(t, uintptr(p)%align)
			if i%2 == 0 {
				require.Equal(t, int(n), bytes.Count(bytesOf(p, n), []byte{0}), "round %d", round)
			}
			for j := range bytesOf(p, n) {
				bytesOf(p, n)[j] = byte(i)
			}
			all = append(all, piece{p, n})
		}
		for i, x := range all {
			require.Equal(t, int(x.n), bytes.Count(bytesOf(x.p, x.n), []byte{byte(i)}))
		}
		require.GreaterOrEqual(t, a.Size(), a.Used())
		size := a.Size()
		a.Reset()
		require.Zero(t, a.Used())
		require.Equal(t, size, a.Size(), "what was used is kept")
	}
	a.Reset()
	require.Less(t, a.Size(), uintptr(1<<20), "what was not used is not")
}

func TestArenaErrors(t *testing.T) {
	var a alloc.Arena
	_, err := a.Alloc(1, 3, false)
	require.ErrorIs(t, err, alloc.ErrAlignment)
	_, err = a.Alloc(1, 1<<22, false)
	require.ErrorIs(t, err, alloc.ErrAlignment)
	_, err = a.Alloc(1<<60, 8, false)
	require.ErrorIs(t, err, alloc.ErrOutOfMemory)
	p, err := alloc.NewIn[int](&a)
	require.NoError(t, err)
	require.Zero(t, *p)
	sub := a.Sub(0)
	_, err = alloc.NewIn[int](sub)
	require.NoError(t, err)
	a.Free()
	a.Free()
	a.Reset()
	_, err = alloc.NewIn[int](&a)
	require.ErrorIs(t, err, alloc.ErrFreed)
	_, err = alloc.NewIn[int](sub)
	require.ErrorIs(t, err, alloc.ErrFreed, "what lies within goes with it")
	_, err = alloc.MakeIn[int](&a, 2, 1)
	require.Error(t, err)
}

func TestArenasGiveEverythingBack(t *testing.T) {
	before := alloc.ReadStats().Usable
	for _, hint := range []uintptr{0, 1000, 300 << 10, 5 << 20} {
		a := alloc.NewArena(hint)
		for range 3 {
			for range 10 {
				_, err := alloc.MakeIn[byte](a, 100<<10, 100<<10)
				require.NoError(t, err)
				_, err = alloc.MakeIn[byte](a.Sub(0), 1, 1)
				require.NoError(t, err)
			}
			a.Reset()
		}
		a.Free()
	}
	require.Equal(t, before, alloc.ReadStats().Usable)
}

func TestArenaStringsAndSlices(t *testing.T) {
	a, shared := alloc.NewArena(0), alloc.NewSharedArena(0)
	defer a.Free()
	defer shared.Free()
	for _, r := range []alloc.Region{a, shared} {
		var want []string
		var got []string
		for i := range 500 {
			s := strings.Repeat(fmt.Sprint(i), i%40)
			c, err := alloc.CopyString(r, s)
			require.NoError(t, err)
			want, got = append(want, s), append(got, c)
		}
		require.Equal(t, want, got)
		b, err := alloc.CopyBytes(r, []byte("abc"))
		require.NoError(t, err)
		require.Equal(t, "abc", string(b))
		var s, model []int
		for i := range 1000 {
			s, err = alloc.AppendIn(r, s, i)
			require.NoError(t, err)
			model = append(model, i)
		}
		require.Equal(t, model, s)
	}
}

// What is asked for wrongly is refused wherever the arena stands, and takes nothing.
func TestArenaRefusesWhatIsNoRequest(t *testing.T) {
	a := alloc.NewArena(0)
	defer a.Free()
	for range 3 {
		for _, align := range []uintptr{0, 3, 48, 4097, 4 << 20, 1 << 63, ^uintptr(0)} {
			used := a.Used()
			_, err := a.Alloc(16, align, false)
			require.ErrorIs(t, err, alloc.ErrAlignment, align)
			require.Equal(t, used, a.Used())
		}
		for _, size := range []uintptr{^uintptr(0), 1 << 63, 1 << 48} {
			_, err := a.Alloc(size, 8, true)
			require.ErrorIs(t, err, alloc.ErrOutOfMemory)
		}
		_, err := a.Alloc(1000, 8, false)
		require.NoError(t, err)
	}
}

// Memory that was handed out undefined, and written, is zero again where Reset hands it out as such.
func TestArenaMemoryIsZeroedAfterReset(t *testing.T) {
	a := alloc.NewArena(0)
	defer a.Free()
	for round := range 6 {
		for i := range 200 { // of the same chunk in the first rounds, of several in the last
			n := uintptr(40 << (round / 2 * 2))
			p, err := a.Alloc(n, 8, i%3 == 0)
			require.NoError(t, err)
			b := unsafe.Slice((*byte)(p), n)
			if i%3 == 0 {
				require.Equal(t, make([]byte, n), b)
			}
			for j := range b {
				b[j] = 0xff
			}
		}
		a.Reset()
	}
}

func TestManyGoroutinesShareAnArena(t *testing.T) {
	s := alloc.NewSharedArena(0)
	for range 2 {
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				var mine [][]byte
				for i := range 2000 {
					n, align := i%600, uintptr(1)<<(i%6)
					if i%500 == 0 {
						n = 10 << 10
					}
					p, err := s.Alloc(uintptr(n), align, true)
					if err != nil || uintptr(p)%align != 0 {
						t.Error(err, p, align)
						return
					}
					b := unsafe.Slice((*byte)(p), n)
					for j := range b {
						if b[j] != 0 {
							t.Error("not zeroed")
							return
						}
						b[j] = byte(g + 1)
					}
					mine = append(mine, b)
				}
				for _, b := range mine {
					for _, c := range b {
						if c != byte(g+1) {
							t.Error("damaged")
							return
						}
					}
				}
			})
		}
		wg.Wait()
		require.Positive(t, s.Size())
		s.Reset()
	}
	s.Free()
	_, err := alloc.NewIn[int](s)
	require.ErrorIs(t, err, alloc.ErrFreed)
}

// Arenas, within each other, behave as a model that keeps copies: contents stay until Reset or Free.
func FuzzArenaAgainstModel(f *testing.F) {
	f.Add([]byte{1, 2, 3, 250, 251, 4, 4, 5, 6, 252, 9, 10})
	f.Fuzz(func(t *testing.T, ops []byte) {
		type node struct {
			a    *alloc.Arena
			data [][]byte
			want []string
			subs []*node
		}
		root := &node{a: alloc.NewArena(uintptr(len(ops)) * 100)}
		defer root.a.Free()
		var verify func(n *node)
		verify = func(n *node) {
			for i := range n.data {
				require.Equal(t, n.want[i], string(n.data[i]))
			}
			for _, s := range n.subs {
				verify(s)
			}
		}
		at := root
		for i, op := range ops {
			switch {
			case op >= 250:
				at = root
			case op >= 240 && len(at.subs) > 0:
				at = at.subs[int(op)%len(at.subs)]
			case op >= 230:
				at.subs = append(at.subs, &node{a: at.a.Sub(0)})
			case op >= 225:
				verify(root)
				at.a.Reset()
				at.data, at.want, at.subs = nil, nil, nil
			default:
				s := strings.Repeat(string(rune('a'+i%26)), int(op)*int(op))
				b, err := alloc.CopyBytes(at.a, []byte(s))
				require.NoError(t, err)
				at.data, at.want = append(at.data, b), append(at.want, s)
			}
		}
		verify(root)
	})
}
