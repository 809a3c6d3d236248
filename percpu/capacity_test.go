package percpu

import (
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/transfer"
)

// Loads of one vCPU, to see how a budget is shared out among classes: the cache itself runs them, and its misses
// are counted. They take no account of time; misses per thousand mallocs (each with its free) are what they show.

type classed struct {
	c units.ClassID
	p uintptr
}

type workload func(k *Cache, r *rand.Rand, mallocs int)

// mixedClass draws bench's mixed sizes: 16 B to 16 KiB, each power of two half as likely as the one below.
func mixedClass(r *rand.Rand) units.ClassID {
	x := r.Uint64()
	base := uint64(16) << bits.TrailingZeros64(x|1<<9)
	return sizeclass.ForMalloc(units.Bytes(base + (x>>40)%base))
}

// replace has so many live objects, and replaces one of them by another.
func replace(live int, class func(r *rand.Rand) units.ClassID) workload {
	var objects []classed
	return func(k *Cache, r *rand.Rand, mallocs int) {
		for range mallocs {
			c := class(r)
			if len(objects) < live {
				objects = append(objects, classed{c, k.allocOn(0, c)})
				continue
			}
			o := &objects[r.IntN(live)]
			k.freeOn(0, o.c, o.p)
			*o = classed{c, k.allocOn(0, c)}
		}
	}
}

// batches makes batches of live objects, whose number the function gives, and frees them in order.
func batches(live func(r *rand.Rand) int, class func(r *rand.Rand) units.ClassID) workload {
	return func(k *Cache, r *rand.Rand, mallocs int) {
		for mallocs > 0 {
			objects := make([]classed, live(r))
			for i := range objects {
				c := class(r)
				objects[i] = classed{c, k.allocOn(0, c)}
			}
			for _, o := range objects {
				k.freeOn(0, o.c, o.p)
			}
			mallocs -= len(objects)
		}
	}
}

// phases uses eight other neighbouring classes after each so many mallocs; the last phase's objects stay.
func phases(every int) workload {
	return func(k *Cache, r *rand.Rand, mallocs int) {
		for ; mallocs > 0; mallocs -= every {
			first := 2 + r.IntN(40)
			replace(2000, func(r *rand.Rand) units.ClassID { return units.ClassID(first + r.IntN(8)) })(k, r, every)
		}
	}
}

func TestMissesOfMixedLoads(t *testing.T) {
	request := func(r *rand.Rand) int { return 50 + r.IntN(450) }
	burst := func(r *rand.Rand) int {
		if r.IntN(100) == 0 {
			return 10 * request(r)
		}
		return request(r)
	}
	fixed := func(n int) func(*rand.Rand) int { return func(*rand.Rand) int { return n } }
	of := func(size units.Bytes) func(*rand.Rand) units.ClassID {
		return func(*rand.Rand) units.ClassID { return sizeclass.ForMalloc(size) }
	}
	for _, l := range []struct {
		name    string
		load    workload
		misses  float64 // most per 1000 mallocs; in brackets what a budget that goes to the last to miss gave
		layouts uint32  // most
	}{
		{"10,000 of mixed sizes", replace(10000, mixedClass), 1.0, 2},        // (4.7, 18 layouts)
		{"3,000 of mixed sizes", replace(3000, mixedClass), 0.6, 2},          // (2.7, 9)
		{"40,000 of mixed sizes", replace(40000, mixedClass), 1.7, 2},        // (5.1, 18)
		{"requests of mixed sizes", batches(request, mixedClass), 0.1, 2},    // (0.05, 0)
		{"the same with bursts", batches(burst, mixedClass), 0.4, 2},         // (0.6, 3)
		{"phases of 100,000", phases(100000), 2, 8},                          // (2.9, 12)
		{"phases of 20,000", phases(20000), 6.5, 20},                         // (17.4, 68)
		{"batches of 10,000 of 64 B", batches(fixed(10000), of(64)), 0, 0},   // (0, 0)
		{"batches of 1,000 of 1 KiB", batches(fixed(1000), of(1024)), 0, 0},  // (0, 0)
		{"batches of 3,000 of 1 KiB", batches(fixed(3000), of(1024)), 26, 0}, // beyond any budget
	} {
		k := newCache(t, 1, 0)
		require.True(t, k.populate(0))
		r, in := rand.New(rand.NewPCG(1, 2)), k.info(0)
		l.load(k, r, 500000)
		const mallocs = 1000000
		misses, layouts, steals, moved := in.misses(), in.resizes, in.steals, transferred(k)
		l.load(k, r, mallocs)
		misses, layouts, steals, moved = in.misses()-misses, in.resizes-layouts, in.steals-steals, transferred(k)-moved
		per := func(n uint64) float64 { return float64(n) * 1000 / mallocs }
		t.Logf("%s: of 1000 mallocs %.2f miss, %.0f objects are moved; %d steals, %d layouts, a slab of %d KiB",
			l.name, per(misses), per(moved), steals, layouts, 1<<in.shift>>10)
		require.LessOrEqual(t, per(misses), l.misses, l.name)
		require.LessOrEqual(t, layouts, l.layouts, l.name)
	}
}

// transferred is how many objects the transfer caches were asked to take or give.
func transferred(k *Cache) (n uint64) {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		var st transfer.Stats
		k.Transfer.Stats(c, &st)
		n += st.Hits + st.Misses
	}
	return n
}
