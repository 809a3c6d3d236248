package percpu

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// The tiers below have memory for a few spans only, so that refills bring less than was asked for, or nothing: each
// object still has one owner, budgets add up, and memory that is freed serves again.
func TestShortMemoryBelowLosesNothing(t *testing.T) {
	const vcpus, window = 3, 6 << 20
	r := newRand(t)
	k := new(Cache)
	pages := &k.Transfer.Central.Pages
	require.True(t, pages.Init(pageheap.Options{Seed: rand.Uint64(), MaxBytes: window}))
	t.Cleanup(pages.Unmap)
	require.True(t, k.Init(Options{VCPUs: vcpus, Limit: 512 << 10}))
	type object struct {
		c units.ClassID
		p uintptr
	}
	var live []object
	var held [sizeclass.NumClasses]int
	owned := map[uintptr]bool{}
	refused, served := 0, 0
	alloc := func(v units.VCPU, c units.ClassID) bool {
		p := k.allocOn(v, c)
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
		require.Zero(t, k.freeOn(v, o.c, o.p))
	}
	for round := range long(20) {
		first, burst := 1+r.IntN(sizeclass.NumClasses-8), 1+r.IntN(400)
		for range 2000 {
			v := units.VCPU(r.IntN(vcpus))
			if k.info(v).slab == 0 {
				require.True(t, k.populate(v))
			}
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
		require.Empty(t, pages.Check())
		if round%4 == 3 {
			for len(live) > 0 {
				free(0, len(live)-1)
			}
			k.DrainAll()
			k.Transfer.Drain()
			require.True(t, alloc(0, units.ClassID(1+r.IntN(sizeclass.NumClasses-1))), "all was freed, and nothing is to be had")
		}
	}
	t.Logf("%d served, %d refused", served, refused)
	require.Positive(t, refused)
	require.Greater(t, served, refused)
	for len(live) > 0 {
		free(0, len(live)-1)
	}
	check(t, k, &held)
	empty(t, k)
}
