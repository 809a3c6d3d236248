package percpu

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/units"
)

// A simulation of the two policies on loads of 64 vCPUs, with the policies' own code. A vCPU's load is how many bytes
// of objects come and go in a cycle, and how many cycles an interval has. What its budget does not hold is moved
// through the transfer cache in each cycle: a miss for each 64 objects of 64 bytes. What it holds it keeps for
// idleLooks intervals (DrainIdle).

// demand is one vCPU's load in one interval.
type demand struct {
	bytes  int64
	cycles int64
}

type simulation struct {
	loads  []load
	held   [][idleLooks]int64 // bytes held in the last intervals
	total  []load             // misses and refused so far
	first  units.VCPU
	misses uint64
	bytes  float64 // held, summed over vCPUs and intervals
}

func newSimulation(vcpus int) *simulation {
	return &simulation{loads: make([]load, vcpus), held: make([][idleLooks]int64, vcpus), total: make([]load, vcpus)}
}

func (s *simulation) interval(t int, p Policy, limit int64, of func(v int) demand) {
	const missBytes = 64 * 64
	for v := range s.loads {
		d, l, sum := of(v), &s.loads[v], &s.total[v]
		if l.capacity == 0 {
			if d.cycles == 0 {
				continue // never ran
			}
			l.capacity = limit
		}
		over := max(d.bytes-l.capacity, 0)
		misses := uint64(2 * d.cycles * (over / missBytes))
		sum.misses += misses
		sum.refused += d.cycles * min(over, l.capacity)
		s.misses += misses
		s.held[v][t%idleLooks] = min(d.bytes, l.capacity)
		most := int64(0)
		for _, h := range s.held[v] {
			most = max(most, h)
		}
		s.bytes += float64(min(most, l.capacity))
		l.begin(sum.misses, sum.refused, l.capacity, l.capacity-min(most, l.capacity))
	}
	if p == Static {
		return
	}
	var out [maxMoves]move
	before := int64(0)
	for v := range s.loads {
		before += s.loads[v].capacity
	}
	plan(s.loads, limit, p, &s.first, &out)
	for v := range s.loads {
		before -= s.loads[v].capacity
	}
	if before != 0 {
		panic("budget was made or lost")
	}
}

// diurnal: vCPUs 0..n-1 are at work, the first with most to do; n rises from 2 to 64 and falls again within a day of
// 288 intervals (24 minutes), three days.
func diurnal(seed uint64) func(t, v int) demand {
	r := rand.New(rand.NewPCG(seed, 1))
	noise := make([]float64, 1<<16)
	for i := range noise {
		noise[i] = 0.5 + r.Float64()
	}
	return func(t, v int) demand {
		hour := t % 288
		n := 2 + hour*62/144
		if hour >= 144 {
			n = 2 + (288-hour)*62/144
		}
		if v >= n {
			return demand{}
		}
		share := 6.0 / (1 + float64(v)/6)
		return demand{int64(share * noise[(t*64+v)%len(noise)] * (1 << 20)), 20}
	}
}

// bursts: eight vCPUs always have 4 MiB that come and go; each of the others has, in one of fifty intervals, a
// burst that misses much more than those, and is over by the time it could be served.
func bursts(seed uint64) func(t, v int) demand {
	r := rand.New(rand.NewPCG(seed, 2))
	hit := make([]bool, 1<<16)
	for i := range hit {
		hit[i] = r.IntN(50) == 0
	}
	return func(t, v int) demand {
		switch {
		case v < 8:
			return demand{4 << 20, 20}
		case hit[(t*64+v)%len(hit)]:
			return demand{12 << 20, 50}
		}
		return demand{256 << 10, 20}
	}
}

func TestDemandBeatsThePaperOnDiurnalAndBurstLoads(t *testing.T) {
	const vcpus, days = 64, 3 * 288
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for name, load := range map[string]func(uint64) func(t, v int) demand{"diurnal": diurnal, "bursts": bursts} {
		misses, held := map[Policy]float64{}, map[Policy]float64{}
		for _, p := range []Policy{Static, Paper, Demand} {
			limit := int64(DefaultLimit)
			s, of := newSimulation(vcpus), load(seed)
			for i := range days {
				s.interval(i, p, limit, func(v int) demand { return of(i, v) })
			}
			misses[p], held[p] = float64(s.misses), s.bytes/days/(1<<20)
		}
		t.Logf("%s: misses against a fixed 1.5 MiB: paper %.3f, demand %.3f; held on average: fixed %.1f MiB, paper %.1f, demand %.1f",
			name, misses[Paper]/misses[Static], misses[Demand]/misses[Static], held[Static], held[Paper], held[Demand])
		require.Less(t, misses[Demand], misses[Paper], name)
		require.Less(t, misses[Paper], misses[Static]*1.001, name)
	}
}
