package percpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

const testLimit = int64(DefaultLimit)

// busy and idle are loads of vCPUs with the whole limit.
func busy(misses uint64, refused int64) load {
	return load{capacity: testLimit, misses: misses, refused: refused, score: refused}
}
func idle() load { return load{capacity: testLimit, available: testLimit} }

func TestPlans(t *testing.T) {
	const step, quarter, floor = testLimit / paperDivisor, testLimit / demandDivisor, testLimit / floorDivisor
	poor := busy(0, 0)
	poor.capacity = floor + 1000
	rich := busy(1000, 1<<30)
	rich.available = int64(units.MaxSmall)
	for _, c := range []struct {
		name  string
		p     Policy
		loads []load
		first units.VCPU
		want  []move
	}{
		{"nobody misses", Paper, []load{idle(), idle()}, 0, nil},
		{"the one that misses grows", Paper, []load{busy(100, 0), idle(), idle()}, 0, []move{{1, 0, step}}},
		{"round robin", Paper, []load{busy(100, 0), idle(), idle()}, 2, []move{{2, 0, step}}},
		{"at the expense of those that miss less", Paper, []load{busy(100, 0), busy(81, 0), busy(10, 0)}, 1, []move{{2, 0, step}, {2, 1, step}}},
		{"not of those that miss as much", Paper, []load{busy(100, 0), busy(90, 0)}, 0, nil},
		{"several pay where one is poor", Paper, []load{busy(100, 0), poor, idle()}, 1, []move{{1, 0, 1000}, {2, 0, step - 1000}}},
		{"who has room for any class gets nothing", Paper, []load{rich, idle()}, 0, nil},
		{"where the process never ran nothing is taken", Paper, []load{busy(100, 0), {}, idle()}, 1, []move{{2, 0, step}}},
		{"five grow", Paper, []load{busy(10, 0), busy(60, 0), busy(20, 0), busy(50, 0), busy(30, 0), busy(40, 0), idle(), idle(), idle(), idle(), idle()}, 6,
			[]move{{6, 1, step}, {7, 3, step}, {8, 5, step}, {9, 4, step}, {10, 2, step}}},

		{"misses alone are no demand", Demand, []load{busy(1000, 0), idle()}, 0, nil},
		{"a trifle is no demand", Demand, []load{busy(1000, demandFloor-1), idle()}, 0, nil},
		{"what was refused is given", Demand, []load{busy(10, 100<<10), idle()}, 0, []move{{1, 0, 100 << 10}}},
		{"a quarter of the limit at most", Demand, []load{busy(10, 1<<30), idle()}, 0, []move{{1, 0, quarter}}},
		{"the unused goes first", Demand, []load{busy(10, 1<<30), busy(0, 0), idle()}, 1, []move{{2, 0, quarter}}},
		{"then the used", Demand, []load{busy(10, 1<<30), busy(0, 0)}, 0, []move{{1, 0, quarter}}},
		{"but not of others in need", Demand, []load{busy(10, 1<<30), busy(0, 1<<28+1)}, 0, nil},
		{"who has room for any class gets nothing", Demand, []load{rich, idle()}, 0, nil},
	} {
		var out [maxMoves]move
		first := c.first
		n := plan(c.loads, testLimit, c.p, &first, &out)
		require.Equal(t, c.want, append([]move(nil), out[:n]...), c.name)
	}
}

func TestDemandIsWhatLastsAndIsStillThere(t *testing.T) {
	var l load
	interval := func(refused int64) int64 {
		l.begin(0, l.refusedBefore+refused, testLimit, 0)
		return l.score
	}
	require.EqualValues(t, 250, interval(1000), "a burst counts a quarter")
	require.Zero(t, interval(0), "and is over")
	for range 20 {
		interval(1000)
	}
	require.GreaterOrEqual(t, interval(1000), int64(990))
	require.Zero(t, interval(0))
	for range 40 {
		interval(0)
	}
	require.Zero(t, l.average)
}

func TestPlansConserveTheSumAndRespectTheFloor(t *testing.T) {
	r := coretest.Rand(t)
	for range 20000 {
		loads := make([]load, 1+r.IntN(40))
		sum := int64(0)
		for i := range loads {
			if r.IntN(5) == 0 {
				continue
			}
			l := load{capacity: r.Int64N(4 * testLimit), misses: uint64(r.IntN(1 << r.IntN(20))), score: r.Int64N(1 << r.IntN(32))}
			l.available = r.Int64N(l.capacity + 1)
			loads[i] = l
			sum += l.capacity
		}
		before := append([]load(nil), loads...)
		first := units.VCPU(r.IntN(50))
		var out [maxMoves]move
		p := []Policy{Demand, Paper}[r.IntN(2)]
		n := plan(loads, testLimit, p, &first, &out)
		after := append([]load(nil), before...)
		to := map[units.VCPU]bool{}
		for _, m := range out[:n] {
			require.Positive(t, m.bytes)
			require.NotEqual(t, m.from, m.to)
			to[m.to] = true
			after[m.from].capacity -= m.bytes
			after[m.to].capacity += m.bytes
			require.GreaterOrEqual(t, after[m.from].capacity, min(testLimit/floorDivisor, before[m.from].capacity), "a source keeps a fifth of the limit")
		}
		require.LessOrEqual(t, len(to), destinations)
		total := int64(0)
		for i := range loads {
			require.Equal(t, after[i].capacity, loads[i].capacity, "plan counts its moves")
			require.GreaterOrEqual(t, loads[i].available, int64(0))
			total += loads[i].capacity
		}
		require.Equal(t, sum, total)
		for v := range to { // nobody who was passed over wanted more than the least of those who grew
			require.Positive(t, before[v].wants(p))
		}
	}
}

func TestBalanceMovesBudgetToWhoWasRefused(t *testing.T) {
	for _, policy := range []Policy{Demand, Paper} {
		k := newCache(t, 4, units.MaxSmall*2)
		k.policy = policy
		for v := range units.VCPU(4) {
			require.True(t, k.populate(v))
		}
		churn := func(v units.VCPU, n int) {
			for _, c := range []units.ClassID{20, 30, 40} {
				var objects []uintptr
				for range n {
					objects = append(objects, k.allocOn(v, c))
				}
				for _, p := range objects {
					require.Zero(t, k.freeOn(v, c, p))
				}
			}
		}
		for v := range units.VCPU(4) {
			churn(v, 10)
		}
		for range 40 {
			for range 20 {
				churn(2, 1000)
			}
			k.Balance()
		}
		var st Stats
		k.Stats(2, &st)
		require.Greater(t, st.Capacity, k.limit*3/2, "%v", policy)
		sum := units.Bytes(0)
		for v := range units.VCPU(4) {
			k.Stats(v, &st)
			require.GreaterOrEqual(t, st.Capacity, k.limit/floorDivisor)
			sum += st.Capacity
			checkVCPU(t, k, v)
		}
		require.Equal(t, 4*k.limit, sum)
		empty(t, k)
	}
}
