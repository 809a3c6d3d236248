package heap

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/simcpu"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/percpu"
	"github.com/vcmalloc/vcmalloc/transfer"
)

func percpuOf(vcpus uintptr) percpu.Options { return percpu.Options{VCPUs: vcpus} }

func TestObjectsOfEverySizeHoldWhatIsWritten(t *testing.T) {
	h := newHeap(t, Options{})
	var live []object2
	held := units.Bytes(0)
	for round := range 2 {
		for i, size := range sizesOfInterest() {
			p := h.Malloc(size)
			require.NotZero(t, p)
			require.Zero(t, p%16)
			usable := h.Usable(p)
			require.GreaterOrEqual(t, usable, size)
			if c := sizeclass.ForMalloc(size); c != 0 {
				require.Equal(t, sizeclass.Size(c), usable)
			} else {
				require.Equal(t, units.Bytes(units.PagesFor(size))<<units.PageShift, usable)
				require.Zero(t, p%units.PageSize)
			}
			held += usable
			key := uint64(1000*round + i)
			fill(p, usable, key)
			live = append(live, object2{p: p, size: usable, key: key})
		}
		check(t, h, held)
	}
	for _, o := range live {
		require.Equal(t, -1, intact(o.p, o.size, o.size, o.key), "%d bytes at %#x", o.size, o.p)
		h.Free(o.p, CallFree)
	}
	check(t, h, 0)
}

func TestAnObjectOfNoBytesIsUnique(t *testing.T) {
	h := newHeap(t, Options{})
	p, q := h.Malloc(0), h.Malloc(0)
	require.True(t, p != 0 && q != 0 && p != q)
	h.Free(p, CallFree)
	h.Free(q, CallFree)
	h.Free(0, CallFree)
	h.FreeSized(0, 5, 0, true, CallFreeSized)
	h.NestedFree(0, CallFree)
	require.Zero(t, h.Usable(0))
	check(t, h, 0)
}

func TestImpossibleRequestsFail(t *testing.T) {
	h := newHeap(t, Options{})
	p := h.Malloc(5 << 20)
	fill(p, 5<<20, 1)
	held := h.Usable(p)
	for shift := 41; shift < 64; shift++ {
		for _, d := range []units.Bytes{^units.Bytes(0), 0, 1, units.PageSize, units.PageSize + 1, 5 << 20} {
			size := units.Bytes(1)<<shift + d
			require.Zero(t, h.Malloc(size), "%#x bytes", size)
			require.Zero(t, h.Aligned(size, 1<<21))
			require.Zero(t, h.Aligned(size, 64))
			require.Zero(t, h.Realloc(p, size, CallRealloc))
			require.Zero(t, h.NestedMalloc(size, 16))
		}
		require.Zero(t, h.NestedMalloc(100, 1<<shift))
		for _, size := range []units.Bytes{100, 1 << 20} { // the window may happen to lie at such an address
			q := h.Aligned(size, 1<<shift)
			require.Zero(t, q&(1<<shift-1))
			h.Free(q, CallFree)
		}
	}
	require.Zero(t, h.Malloc(^units.Bytes(0)))
	require.Equal(t, -1, intact(p, 5<<20, 5<<20, 1))
	check(t, h, held)
	h.Free(p, CallFree)
	check(t, h, 0)
}

func TestAlignedObjectsAreAligned(t *testing.T) {
	h := newHeap(t, Options{})
	for align := units.Bytes(1); align <= 16<<20; align *= 2 {
		var live []uintptr
		held := units.Bytes(0)
		for _, size := range []units.Bytes{0, 1, 15, 16, 17, 100, 1000, 1025, 4096, 8192, 8193, 65536, 256 << 10, 256<<10 + 1, 3 << 20} {
			p := h.Aligned(size, align)
			require.NotZero(t, p, "%d aligned to %d", size, align)
			require.Zero(t, p%max(align, 16))
			require.GreaterOrEqual(t, h.Usable(p), size)
			fill(p, h.Usable(p), uint64(size))
			held += h.Usable(p)
			live = append(live, p)
		}
		check(t, h, held)
		for i, p := range live {
			if i%2 == 0 {
				h.Free(p, CallFree)
			} else {
				h.FreeSized(p, []units.Bytes{0, 1, 15, 16, 17, 100, 1000, 1025, 4096, 8192, 8193, 65536, 256 << 10, 256<<10 + 1, 3 << 20}[i], align, true, CallFreeAlignedSized)
			}
		}
		check(t, h, 0)
	}
}

func TestLargeTellsTruthfullyWhatIsZero(t *testing.T) {
	h := newHeap(t, Options{})
	for _, size := range []units.Bytes{300 << 10, 1 << 20, 3 << 20, 8 << 20} {
		for range 6 {
			p, zeroed := h.Large(size, 1)
			if zeroed {
				for i, b := range bytesAt(p, size) {
					if b != 0 {
						t.Fatalf("byte %d of %d is not zero", i, size)
					}
				}
			}
			fill(p, size, 7)
			h.Free(p, CallFree)
		}
		h.Trim()
	}
	check(t, h, 0)
}

func TestReallocKeepsContents(t *testing.T) {
	h := newHeap(t, Options{})
	sizes := []units.Bytes{1, 8, 16, 17, 31, 100, 112, 113, 1000, 1024, 1025, 5000, 8192, 60000, 256<<10 - 1, 256 << 10, 256<<10 + 1, 1 << 20, 2 << 20, 3<<20 + 5, 9 << 20}
	for _, from := range sizes {
		for _, to := range sizes {
			p := h.Malloc(from)
			fill(p, from, uint64(from))
			q := h.Realloc(p, to, CallRealloc)
			require.NotZero(t, q)
			require.GreaterOrEqual(t, h.Usable(q), to)
			require.Equal(t, -1, intact(q, min(from, to), from, uint64(from)), "realloc from %d to %d", from, to)
			fill(q, to, 3)
			var s Stats
			h.Stats(&s)
			require.Equal(t, h.Usable(q), s.Used+s.Large)
			h.FreeSized(q, to, 0, false, CallFreeSized) // free_sized takes the size given to realloc
		}
		check(t, h, 0)
	}
}

func TestReallocStaysInPlaceWhileMoreThanHalfIsUsed(t *testing.T) {
	h := newHeap(t, Options{})
	p := h.Malloc(1024)
	require.Equal(t, p, h.Realloc(p, 1000, CallRealloc))
	require.Equal(t, p, h.Realloc(p, 513, CallRealloc))
	require.NotEqual(t, p, h.Realloc(p, 512, CallRealloc))

	q := h.Malloc(4 << 20)
	require.Equal(t, q, h.Realloc(q, 8<<20, CallRealloc), "a large object grows where the window has room")
	require.Equal(t, q, h.Realloc(q, 1<<20, CallRealloc), "and shrinks")
	require.EqualValues(t, 1<<20, h.Usable(q))
	require.NotEqual(t, q, h.Realloc(q, 1000, CallRealloc))
}

// Buffers that grow by realloc, among others that stand in their way, and one by itself.
func TestGrowingBuffersKeepTheirContents(t *testing.T) {
	h := newHeap(t, Options{})
	r := rand.New(rand.NewPCG(3, 4))
	type buffer struct {
		p    uintptr
		size units.Bytes
		key  uint64
	}
	var all [12]buffer
	for range 3000 {
		b := &all[r.IntN(len(all))]
		size := b.size + b.size/units.Bytes(1+r.IntN(8)) + 16
		if size > 6<<20 || r.IntN(12) == 0 {
			size = units.Bytes(1 + r.IntN(100<<10))
		}
		if b.p == 0 {
			b.p = h.Malloc(size)
		} else {
			b.p = h.Realloc(b.p, size, CallRealloc)
			require.Negative(t, intact(b.p, min(size, b.size), b.size, b.key), "from %d to %d", b.size, size)
		}
		require.GreaterOrEqual(t, h.Usable(b.p), size)
		b.size, b.key = size, r.Uint64()
		fill(b.p, size, b.key)
		var s Stats
		h.Stats(&s)
		used := units.Bytes(0)
		for _, b := range all {
			used += h.Usable(b.p)
		}
		require.Equal(t, used, s.Used+s.Large)
	}
	for _, b := range all {
		h.FreeSized(b.p, b.size, 0, false, CallFreeSized)
	}
	check(t, h, 0)

	h = newHeap(t, Options{}) // where nothing is free that is not in one piece
	moves, p := 0, h.Malloc(PagesFrom)
	for size := units.Bytes(PagesFrom); size < 1<<20; size += size / 2 {
		q := h.Realloc(p, size+size/2, CallRealloc)
		if q != p {
			moves++
		}
		p = q
	}
	require.LessOrEqual(t, moves, 3, "of 9 growths")
	h.Free(p, CallFree)
}

func TestFreeSizedAcceptsTheSizesThatMayHaveBeenAskedFor(t *testing.T) {
	h := newHeap(t, Options{}) // which aborts on a mismatch
	for _, size := range sizesOfInterest() {
		if size > 1<<20 {
			continue
		}
		h.FreeSized(h.Malloc(size), size, 0, false, CallFreeSized)
		h.FreeSized(h.Malloc(size), size, 0, true, CallDelete)
		if c := sizeclass.ForNew(size); c != 0 {
			h.FreeSized(h.AllocClass(c), size, 0, true, CallDelete)
		}
		for align := units.Bytes(32); align <= 1<<16; align *= 4 {
			h.FreeSized(h.Aligned(size, align), size, align, true, CallDelete)
			h.FreeSized(h.Aligned(size, align), size, align, false, CallFreeAlignedSized)
		}
	}
	check(t, h, 0)
}

func TestFreeSizedReportsOtherSizes(t *testing.T) {
	h := newHeap(t, reporting())
	for _, c := range []struct {
		asked, said units.Bytes
		exact, bad  bool
	}{
		{100, 200, false, true}, {100, 112, false, false}, {100, 60, false, false}, {100, 50, false, true},
		{100, 60, true, true}, {100, 97, true, false}, {100, 113, true, true}, {8, 4096, true, true},
		{1 << 20, 1<<20 + 1, false, true}, {1 << 20, 1<<20 - 1, true, false}, {1 << 20, 1 << 19, true, true}, {1 << 20, 100, false, true},
		{1 << 20, 1<<45 + 1<<20, false, true}, {300 << 10, 0, false, true},
	} {
		p := h.Malloc(c.asked)
		line := stderrOf(t, func() { h.FreeSized(p, c.said, 0, c.exact, CallDelete) })
		if !c.bad {
			require.Empty(t, line, "%+v", c)
			continue
		}
		require.Contains(t, line, fmt.Sprintf("vcmalloc: operator delete(%#x): size mismatch: the caller says %d bytes, the object has %d;", p, c.said, h.Usable(p)), "%+v", c)
		check(t, h, h.Usable(p)) // it was not freed
		h.Free(p, CallFree)
	}
	check(t, h, 0)
}

func TestOutOfMemoryFailsCleanlyAndRecovers(t *testing.T) {
	const limit = 24 << 20
	for _, size := range []units.Bytes{112, 1000, 60000, 1 << 20, 7 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			h := newHeap(t, Options{MaxHeap: limit})
			for range 2 {
				var live []uintptr
				for {
					p := h.Malloc(size)
					if p == 0 {
						break
					}
					sys.Store64(p, uint64(p)+1)
					sys.Store64(p+size-8, uint64(p)+2)
					live = append(live, p)
				}
				require.GreaterOrEqual(t, units.Bytes(len(live))*size, units.Bytes(limit/2), "the limit came too early")
				require.Zero(t, h.Malloc(8<<20))
				require.Zero(t, h.Realloc(live[0], limit, CallRealloc))
				var s Stats
				h.Stats(&s)
				require.LessOrEqual(t, s.Mapped, units.Bytes(limit))
				check(t, h, units.Bytes(len(live))*h.Usable(live[0]))
				for _, p := range live {
					require.True(t, sys.Load64(p) == uint64(p)+1)
					require.Equal(t, uint64(p)+2, sys.Load64(p+size-8))
				}
				h.Free(live[0], CallFree)
				live[0] = h.Malloc(size)
				require.NotZero(t, live[0], "what was freed can be had again")
				for _, p := range live {
					h.Free(p, CallFree)
				}
				h.Trim() // other sizes: the caches let go
				check(t, h, 0)
				p := h.Malloc(6 << 20)
				require.NotZero(t, p)
				h.Free(p, CallFree)
			}
		})
	}
}

func TestOptionsReachTheTiers(t *testing.T) {
	limitOf := func(o Options) units.Bytes {
		h := newHeap(t, o)
		h.Free(h.Malloc(10), CallFree)
		for v := units.VCPU(0); v < h.Front.VCPUs(); v++ {
			var st percpu.Stats
			if h.Front.Stats(v, &st); st.Populated {
				return st.Capacity
			}
		}
		return 0
	}
	require.Equal(t, percpu.DefaultLimit, limitOf(Options{}))
	require.Equal(t, percpu.LegacyLimit, limitOf(Options{Config: config.Config{Legacy: config.PerCPUResize}}))
	require.EqualValues(t, 1<<20, limitOf(Options{Config: config.Config{Legacy: config.PerCPUResize, PerCPULimit: 1 << 20}}))
	require.EqualValues(t, 1<<19, limitOf(Options{PerCPU: percpu.Options{Limit: 1 << 19}}))
	require.True(t, newHeap(t, Options{Config: config.Config{Legacy: config.SpanPriority}}).Front.Transfer.Central.Legacy)
}

func TestTheTopologyTextReachesTheTransferCaches(t *testing.T) {
	with := func(text string) (h *Heap, line string) {
		line = stderrOf(t, func() { h = newHeap(t, Options{Config: config.Config{Topology: simcpu.Text(text)}}) })
		return h, line
	}
	h, line := with("0;1")
	require.Empty(t, line)
	require.GreaterOrEqual(t, h.Front.Transfer.Domains(), 2)
	h, line = with("0-3;x")
	require.Equal(t, "vcmalloc: VCMALLOC_TOPOLOGY=0-3;x: not understood at character 5, the machine's own topology is used; want a CPU number\n", line)
	require.Equal(t, h.Front.Transfer.Topology.Domains(), h.Front.Transfer.Domains())

	require.True(t, newHeap(t, Options{Config: config.Config{Legacy: config.NUCA}}).Front.Transfer.Legacy)
	h = newHeap(t, Options{})
	require.False(t, h.divided, "the start of a process opens no file of sysfs")
	h.Background(sys.Now())
	require.True(t, h.divided)
}

func TestBothDesignsSwitchedOffAreTheLegacyMiddleTier(t *testing.T) {
	for _, legacy := range []config.Features{config.NUCA | config.SpanPriority, 0} {
		h := newHeap(t, Options{
			Config: config.Config{Topology: simcpu.Text("0;1;2;3"), Legacy: legacy},
			PerCPU: percpu.Options{VCPUs: 4, Sequences: percpu.Sequences{CPU: simcpu.Function()}},
		})
		var held []uintptr
		for i := range 40000 { // allocated in bursts on one CPU, freed on the next
			simcpu.Set(int32(i / 2000 % 4))
			held = append(held, h.Malloc(100))
			for len(held) > 1000 && i%2000 > 1000 {
				h.Free(held[0], CallFree)
				held = held[1:]
			}
		}
		k, open := &h.Front.Transfer, 0
		for d := range k.Domains() {
			var st transfer.DomainStats
			if k.Domain(d, &st); st.Open {
				open++
			}
		}
		require.Equal(t, legacy != 0, k.Legacy && k.Central.Legacy)
		require.Equal(t, legacy == 0, open > 1, "%d shards", open)
		var st Stats
		h.Stats(&st)
		require.Positive(t, st.Reused, "crossings are counted with the designs and without")
		require.LessOrEqual(t, st.Crossed, st.Reused)
		for _, p := range held {
			h.Free(p, CallFree)
		}
		check(t, h, 0)
	}
}

func TestMovedObjectsKeepTheirContentsWhateverTheirPages(t *testing.T) {
	h := newHeap(t, Options{})
	for _, size := range []units.Bytes{1 << 20, 2<<20 - 1, 2 << 20, 2<<20 + 1, 5<<20 + 12345, 8 << 20, 20<<20 + 7} {
		p, q := h.Malloc(size), h.Malloc(size+100)
		// An area of the kernel's ends inside p.
		sys.Madvise(p&^(units.HugePageSize-1)+units.HugePageSize, units.HugePageSize, sys.MadvHugePage)
		fill(p, size, uint64(size))
		fill(q, size+100, 9)
		Move(q, p, size)
		require.Equal(t, -1, intact(q, size, size, uint64(size)), "%d bytes", size)
		require.Equal(t, pattern(int(size)+99, 9), bytesAt(q, size+100)[size+99], "what lies behind is not touched")
		fill(p, size, 3) // the old pages can be used
		require.Equal(t, -1, intact(q, size, size, uint64(size)))

		wall := h.Malloc(size) // so that the next ones may have to move
		r := h.Realloc(p, 3*size, CallRealloc)
		require.Equal(t, -1, intact(r, size, size, 3))
		side := h.NestedMalloc(size, units.HugePageSize)
		Move(side, r, size)
		require.Equal(t, -1, intact(side, size, size, 3))
		for _, a := range []uintptr{q, r, wall, side} {
			h.Free(a, CallFree)
		}
	}
	check(t, h, 0)
}

// What the front door keeps is cached, not in use, and the books balance in totals and rows.
func TestObjectsAsideAreNotInUse(t *testing.T) {
	h := newHeap(t, Options{})
	small, large := h.Malloc(32<<10), h.Malloc(1<<20)
	require.NotZero(t, small)
	require.NotZero(t, large)
	var before, after Stats
	h.Stats(&before)
	c := sizeclass.ForMalloc(32 << 10)
	a := Aside{LargeObjects: 1, Large: 1 << 20}
	a.Objects[c] = 1
	h.SetAside(&a)
	h.Stats(&after)
	require.Equal(t, after.Mapped, after.Accounted())
	require.Equal(t, before.Used-32<<10, after.Used)
	require.Equal(t, before.PerCPU+32<<10, after.PerCPU)
	require.Equal(t, before.Large-1<<20, after.Large)
	require.Equal(t, before.Cache+1<<20, after.Cache)
	require.Equal(t, before.UsedObjects-1, after.UsedObjects)
	require.Equal(t, before.LargeObjects-1, after.LargeObjects)
	var k ClassStats
	h.Class(c, &k)
	require.Zero(t, k.Used)
	h.SetAside(&Aside{})
	h.Free(small, CallFree)
	h.Free(large, CallFree)
	check(t, h, 0)
}
