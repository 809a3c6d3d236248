package vm

import (
	"math/rand/v2"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// run interprets ops as calls on a space, and compares it with the set of hugepages it gave and the value
// each was last given.
func run(t *testing.T, ops []byte) {
	s := newSpace(t, 11)
	tables := []Table{s.NewTable(4 << 20), s.NewTable(1 << 30)}
	word := map[units.HugePageID]uint64{} // last written to each hugepage we own
	var order []units.HugePageID
	var walls []uintptr
	top := units.HugePageID(0)
	for i := 0; i+1 < len(ops); i += 2 {
		arg := uintptr(ops[i+1])
		switch ops[i] % 6 {
		case 0, 1: // grow
			n := arg%32 + 1
			if arg == 255 {
				n = 1 << 40
			}
			first, ok := s.Grow(n)
			if !ok {
				if n < 1<<19 {
					t.Fatalf("%d hugepages were refused", n)
				}
				continue
			}
			if first < top {
				t.Fatalf("hugepage %d comes before the end, %d", first, top)
			}
			if first != top && len(walls) == 0 {
				t.Fatalf("a gap from %d to %d with nothing in it", top, first)
			}
			top = first + units.HugePageID(n)
			for h := first; h < top; h++ {
				if sys.Load64(s.Addr(h.Page())) != 0 {
					t.Fatalf("new hugepage %d is not zero", h)
				}
				word[h] = 0
				order = append(order, h)
			}
		case 2: // write
			if len(order) > 0 {
				h := order[int(arg)%len(order)]
				word[h] = uint64(i) + 1
				sys.Store64(s.Addr(h.Page()), word[h])
			}
		case 3: // release
			if len(order) > 0 {
				h := order[int(arg)%len(order)]
				if !Release(s.Addr(h.Page()), huge) {
					t.Fatal("release was refused")
				}
				word[h] = 0
			}
		case 4: // a table grows
			table := &tables[arg%2]
			n := arg * 30_000
			if ok := table.Ensure(s, n); ok != (n <= table.max) || ok && table.Mapped() < n {
				t.Fatalf("Ensure(%d): %v, %+v", n, ok, *table)
			}
		case 5: // somebody maps behind what is mapped
			a := s.Base() + s.Grown() + s.SpareBytes() + arg%4*huge
			if len(walls) < 8 && (len(walls) == 0 || a > walls[len(walls)-1]) {
				foreign(t, a, 4096)
				walls = append(walls, a)
			}
		}
	}
	for h, want := range word {
		if got := sys.Load64(s.Addr(h.Page())); got != want {
			t.Fatalf("hugepage %d holds %d, want %d", h, got, want)
		}
	}
	for _, a := range walls {
		intact(t, a)
	}
	if s.Grown() != uintptr(top)*huge || s.MappedBytes() != uintptr(len(order))*huge {
		t.Fatalf("grown %d, mapped %d, want %d and %d", s.Grown(), s.MappedBytes(), top*huge, len(order)*huge)
	}
	if got := mappedIn(t, s.base, s.base+s.size) - uintptr(len(walls))*4096; got != s.MappedBytes()+s.SpareBytes() {
		t.Fatalf("%d + %d bytes counted, %d mapped", s.MappedBytes(), s.SpareBytes(), got)
	}
}

func TestSpaceAgreesWithTheModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 40 {
		t.Run("", func(t *testing.T) {
			ops := make([]byte, 60)
			for i := range ops {
				ops[i] = byte(r.Uint32())
			}
			run(t, ops)
		})
	}
}

func FuzzSpace(f *testing.F) {
	f.Add([]byte{0, 0, 5, 0, 0, 31, 2, 0, 3, 0})
	f.Add([]byte{0, 9, 5, 1, 5, 2, 0, 20, 5, 0, 0, 31, 0, 255, 4, 200, 4, 201})
	f.Fuzz(func(t *testing.T, ops []byte) { run(t, ops[:min(len(ops), 200)]) })
}
