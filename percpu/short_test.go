package percpu

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/faults"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// borrow takes objects on three vCPUs and gives them back, in bursts of a few classes, while slabs are drained and
// budgets move: each object has one owner, budgets add up, and memory that is freed serves again. It returns how many
// requests were served and how many not.
func borrow(t *testing.T, k *Cache, r *rand.Rand, rounds int) (served, refused int) {
	t.Helper()
	type object struct {
		c units.ClassID
		p uintptr
	}
	var live []object
	var held [sizeclass.NumClasses]int
	owned := map[uintptr]bool{}
	alloc := func(v units.VCPU, c units.ClassID) bool {
		p := k.AllocOn(v, c)
		if p == 0 {
			refused++
			return false
		}
		require.False(t, owned[p], "%#x was handed out twice", p)
		owned[p], served = true, served+1
		held[c]++
		live = append(live, object{c, p})
		return true
	}
	free := func(v units.VCPU, i int) {
		o := live[i]
		live[i] = live[len(live)-1]
		live = live[:len(live)-1]
		delete(owned, o.p)
		held[o.c]--
		require.Zero(t, k.FreeOn(v, o.c, o.p))
	}
	for round := range rounds {
		first, burst := 1+r.IntN(sizeclass.NumClasses-8), 1+r.IntN(400)
		for range 2000 {
			v := units.VCPU(r.IntN(3))
			switch n := r.IntN(100); {
			case n < 60:
				c := units.ClassID(first + r.IntN(8))
				for i := 0; i < burst && alloc(v, c); i++ {
				}
			case n < 97:
				for i := 0; i < 2*burst && len(live) > 0; i++ {
					free(v, r.IntN(len(live)))
				}
			case n == 97:
				k.Drain(v)
			case n == 98:
				k.Balance()
			default:
				k.DrainIdle()
			}
		}
		check(t, k, &held)
		require.Empty(t, k.Transfer.Central.Pages.Check())
		if round%4 == 3 {
			for len(live) > 0 {
				free(0, len(live)-1)
			}
			k.DrainAll()
			k.Transfer.Drain()
			require.True(t, alloc(0, units.ClassID(1+r.IntN(sizeclass.NumClasses-1))), "all was freed, and nothing is to be had")
		}
	}
	for len(live) > 0 {
		free(0, len(live)-1)
	}
	check(t, k, &held)
	empty(t, k)
	t.Logf("%d served, %d refused", served, refused)
	return served, refused
}

// The tiers below have memory for a few spans only, so that refills bring less than was asked for, or nothing.
func TestShortMemoryBelowLosesNothing(t *testing.T) {
	r := coretest.Rand(t)
	k := new(Cache)
	pages := &k.Transfer.Central.Pages
	require.True(t, pages.Init(pageheap.Options{Seed: rand.Uint64(), MaxBytes: 6 << 20}))
	t.Cleanup(pages.Unmap)
	require.True(t, k.Init(Options{VCPUs: 3, Limit: 512 << 10}))
	served, refused := borrow(t, k, r, coretest.Long(20))
	require.Positive(t, refused)
	require.Greater(t, served, refused)
}

// The system refuses slabs, or to take their memory back: vCPUs go on with the slab they have, or without.
func TestRefusedSlabsAreDoneWithout(t *testing.T) {
	slabs := func(k *Cache) (n int) {
		for v := range k.VCPUs() {
			if k.info(v).slab != 0 {
				n++
			}
		}
		return n
	}
	for _, x := range []struct {
		name   string
		call   uint32
		warmUp int // rounds before it begins
	}{
		{"the first", unix.SYS_MMAP, 0},
		{"larger ones", unix.SYS_MMAP, 1},
		{"release", unix.SYS_MADVISE, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			faults.OnDoomedThread(func() {
				r := coretest.Rand(t)
				k := newCache(t, 3, 512<<10)
				borrow(t, k, r, x.warmUp)
				if x.warmUp > 0 {
					require.True(t, k.populate(0))
				}
				before := slabs(k)
				f := faults.Of(x.call, unix.ENOMEM).In(k.slabs.Base(), k.vcpus<<areaShift)
				if err := f.Install(); err != nil {
					t.Skipf("no system call filter: %v", err)
				}
				_, refused := borrow(t, k, r, coretest.Long(2))
				require.Zero(t, refused, "objects do not need slabs")
				if x.warmUp == 0 {
					require.Zero(t, before)
					require.Zero(t, slabs(k))
				} else {
					require.True(t, k.populate(0), "a slab that was mapped once serves again")
				}
			})
		})
	}
}
