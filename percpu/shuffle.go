package percpu

import "github.com/vcmalloc/vcmalloc/internal/units"

// The policy by which budgets move between vCPUs: pure functions over plain numbers. balance.go carries it out.

// load is what a balancing pass knows of one vCPU. Bytes, unless said otherwise.
type load struct {
	capacity, available int64  // the budget (0: the process never ran there), and what no class has of it
	misses              uint64 // in the interval
	refused             int64  // in the interval: what classes wanted to grow by beyond the budget
	average             int64  // refused, smoothed over intervals
	score               int64  // the demand: what was refused both in the interval and on average

	missesBefore  uint64 // totals at the end of the interval before
	refusedBefore int64
}

// move is an order: so many bytes of budget go from one vCPU to another.
type move struct {
	from, to units.VCPU
	bytes    int64
}

const (
	// destinations that may grow in one pass, and the least a source keeps, as a share of the limit: paper
	// section 5.4.1, FACTS.md section 5.7.
	destinations = 5
	floorDivisor = 5
	// paperDivisor: each destination gets a twentieth of the limit at a time.
	paperDivisor = 20
	// demandDivisor: by demand a destination gets what it was refused, up to a sixth of the limit at a time: a
	// vCPU at work doubles its budget in half a minute. Of 1/2 to 1/12 the simulation's misses are fewest.
	demandDivisor = 6
	// demandFloor is the least demand worth a move: a batch of 64 KiB.
	demandFloor = 64 << 10
	// maxMoves bounds what one pass plans.
	maxMoves = 32
)

// begin makes l ready for a pass, given the vCPU's totals.
func (l *load) begin(misses uint64, refused, capacity, available int64) {
	l.misses, l.refused = misses-l.missesBefore, refused-l.refusedBefore
	l.missesBefore, l.refusedBefore = misses, refused
	l.capacity, l.available = capacity, available
	l.average = smooth(l.average, l.refused)
	l.score = min(l.average, l.refused)
}

// smooth is an average over intervals in which each counts three quarters of the next. It falls to zero.
func smooth(before, now int64) int64 { return (3*before + now) / 4 }

// plan says which budgets to move, and how many moves there are. first is the source that is next in turn, and is
// advanced. The sum of all capacities is the same after the moves, which plan counts into loads.
func plan(loads []load, limit int64, p Policy, first *units.VCPU, out *[maxMoves]move) int {
	var to [destinations]units.VCPU
	n := 0
	for i, count := 0, rank(loads, p, &to); i < count; i++ {
		d := &loads[to[i]]
		want := limit / paperDivisor
		if p == Demand {
			want = min(d.score, limit/demandDivisor)
			// What nobody uses first: it costs its owner nothing.
			want, n = gather(loads, limit, p, first, &to, i, want, true, out, n)
		}
		_, n = gather(loads, limit, p, first, &to, i, want, false, out, n)
	}
	return n
}

// wants is how much a vCPU deserves to grow: 0 not at all.
func (l *load) wants(p Policy) int64 {
	if l.capacity == 0 || l.available >= int64(units.MaxSmall) { // it has room for any class
		return 0
	}
	if p == Paper {
		return int64(l.misses)
	}
	if l.score < demandFloor {
		return 0
	}
	return l.score
}

// rank finds the vCPUs that want most, the first first.
func rank(loads []load, p Policy, to *[destinations]units.VCPU) (n int) {
	for v := range loads {
		w := loads[v].wants(p)
		if w == 0 {
			continue
		}
		at := n
		for at > 0 && loads[to[at-1]].wants(p) < w {
			at--
		}
		if at == destinations {
			continue
		}
		n = min(n+1, destinations)
		for i := n - 1; i > at; i-- {
			to[i] = to[i-1]
		}
		to[at] = units.VCPU(v)
	}
	return n
}

// gives is how much l may lose to d.
func (l *load) gives(d *load, limit int64, p Policy, unused bool) int64 {
	room := l.capacity - limit/floorDivisor
	if p == Paper {
		if l.misses > d.misses/5*4 { // both of similar need
			return 0
		}
		return max(room, 0)
	}
	if unused {
		room = min(room, l.available)
	}
	if l.score*4 > d.score {
		return 0
	}
	return max(room, 0)
}

// gather plans moves to destination i of to until it has want bytes, and returns what is missing.
func gather(loads []load, limit int64, p Policy, first *units.VCPU, to *[destinations]units.VCPU, i int, want int64,
	unused bool, out *[maxMoves]move, n int) (int64, int) {
	d := &loads[to[i]]
	for tries := 0; tries < len(loads) && want > 0 && n < maxMoves; tries++ {
		if int(*first) >= len(loads) {
			*first = 0
		}
		v := *first
		*first++
		better := false // a vCPU that wants more gives nothing to one that wants less
		for j := 0; j <= i; j++ {
			better = better || to[j] == v
		}
		s := &loads[v]
		if better || s.capacity == 0 {
			continue
		}
		if got := min(s.gives(d, limit, p, unused), want); got > 0 {
			out[n] = move{v, to[i], got}
			n++
			s.capacity -= got
			s.available -= min(got, s.available)
			d.capacity += got
			d.available += got
			want -= got
		}
	}
	return want, n
}
