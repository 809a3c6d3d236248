package fleet

import (
	"container/heap"
	"math"
	"math/rand/v2"
)

// The shares of Fig. 5.7.
const (
	smallMax   = 1 << 10
	mediumMax  = 8 << 10
	largeMax   = 256 << 10
	hugeMax    = 2 << 20 // ours: the paper's sizes go on, a run on a small machine can't
	smallCount = 0.98    // of objects
	smallBytes = 0.28    // of bytes, each of these
	midBytes   = 0.22
	bigBytes   = 0.28
	hugeBytes  = 0.22
)

// Ours; see doc.go.
const (
	allocsPerSecond = 500000.0
	aliveThreads    = 8
	crossFrees      = 0.2
	shortSeconds    = 1e-3
)

// bucket is a range of sizes with a density proportional to size^-power.
type bucket struct {
	share    float64 // of the objects
	min, max float64
	power    float64
}

// mean size in the bucket.
func (b bucket) mean() float64 {
	// The integral of x^k over [min, max].
	integral := func(k float64) float64 {
		if math.Abs(k+1) < 1e-9 {
			return math.Log(b.max / b.min)
		}
		return (math.Pow(b.max, k+1) - math.Pow(b.min, k+1)) / (k + 1)
	}
	return integral(1-b.power) / integral(-b.power)
}

// draw a size: the inverse of the distribution function at u in [0, 1).
func (b bucket) draw(u float64) uint64 {
	k := 1 - b.power
	if math.Abs(k) < 1e-9 {
		return uint64(b.min * math.Pow(b.max/b.min, u))
	}
	lo, hi := math.Pow(b.min, k), math.Pow(b.max, k)
	return uint64(math.Pow(lo+u*(hi-lo), 1/k))
}

// sizes are the buckets of Fig. 5.7, solved for.
func sizes() []bucket {
	out := []bucket{
		{min: 8, max: smallMax, share: smallCount},
		{min: smallMax, max: mediumMax, power: 1},
		{min: mediumMax, max: largeMax, power: 1},
		{min: largeMax, max: hugeMax, power: 1},
	}
	bytes := []float64{smallBytes, midBytes, bigBytes, hugeBytes}
	// The upper three make up the other 2 % of objects, which gives the mean size of all…
	perObject := 0.0
	for i := 1; i < len(out); i++ {
		perObject += bytes[i] / out[i].mean()
	}
	mean := (1 - smallCount) / perObject
	for i := 1; i < len(out); i++ {
		out[i].share = bytes[i] * mean / out[i].mean()
	}
	// …and with it that of the small, whose power is found by bisection: the mean falls as it grows.
	want := smallBytes * mean / smallCount
	lo, hi := 0.0, 5.0
	for range 100 {
		out[0].power = (lo + hi) / 2
		if out[0].mean() > want {
			lo = out[0].power
		} else {
			hi = out[0].power
		}
	}
	return out
}

// lifetime in simulated seconds of an object of the size; none is above longest.
func lifetime(rng *rand.Rand, size uint64, longest float64) float64 {
	const (
		shortSmall, shortHuge = 0.46, 0.10
		hugeLog               = 24 // 16 MiB
	)
	at := (math.Log2(float64(max(size, smallMax))) - 10) / (hugeLog - 10)
	short := shortSmall + (shortHuge-shortSmall)*min(at, 1)
	if rng.Float64() < short {
		return shortSeconds * math.Pow(1e-3, rng.Float64()) // 1 us to 1 ms
	}
	return shortSeconds * math.Pow(longest/shortSeconds, rng.Float64())
}

// pending is a free to come.
type pending struct {
	at     float64
	slot   uint32
	thread uint16
}

type frees []pending

func (f frees) Len() int           { return len(f) }
func (f frees) Less(i, j int) bool { return f[i].at < f[j].at }
func (f frees) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *frees) Push(x any)        { *f = append(*f, x.(pending)) }
func (f *frees) Pop() any {
	old := *f
	x := old[len(old)-1]
	*f = old[:len(old)-1]
	return x
}

// crew is the threads alive.
type crew struct {
	rng   *rand.Rand
	run   float64
	alive [aliveThreads]uint16
	until [aliveThreads]float64
	next  uint16
}

// at lets threads whose time is over be replaced.
func (c *crew) at(now float64) {
	for i := range c.alive {
		if now >= c.until[i] && (c.next < maxThreads-1) {
			c.alive[i] = c.next
			c.next++
			c.until[i] = now + c.run*math.Pow(20, -c.rng.Float64())
		}
	}
}

func (c *crew) any() uint16 { return c.alive[c.rng.IntN(aliveThreads)] }

func (c *crew) has(thread uint16) bool {
	for _, t := range c.alive {
		if t == thread {
			return true
		}
	}
	return false
}

// Synthesise makes a trace of n allocations by the paper's distributions, the same for the same seed.
func Synthesise(n int, seed uint64) *Trace {
	run := float64(n) / allocsPerSecond
	return synthesise(n, seed, run, 10*run, func(i int, _ float64) float64 { return float64(i) / allocsPerSecond })
}

// Ours, of a settled trace. A service that people use has a third of its load at night. Where the longest lived objects
// outlive the run, a heap only grows and has few holes; here as much ends as begins from the third day on.
const (
	leastLoad   = 0.3
	longestDays = 2.0
)

// settledLoad is the load at a time as a share of the greatest, which is at the beginning of a day.
func settledLoad(now, day float64) float64 {
	const mean = (1 + leastLoad) / 2
	return mean + (1-mean)*math.Cos(2*math.Pi*now/day)
}

// Settled is Synthesise for a process that has run for longer than its objects live, and whose load rises and falls by
// the day (Fig. 5.9a). What is live swings less than the load.
func Settled(n, days int, seed uint64) *Trace {
	run := float64(n) / (allocsPerSecond * (1 + leastLoad) / 2)
	day := run / float64(days)
	return synthesise(n, seed, run, longestDays*day, func(_ int, now float64) float64 {
		return now + 1/(allocsPerSecond*settledLoad(now, day))
	})
}

// synthesise a run of so many simulated seconds with the longest lifetime there is, and the simulated second of
// allocation i where the one before was at now.
func synthesise(n int, seed uint64, run, longest float64, next func(i int, now float64) float64) *Trace {
	rng := rand.New(rand.NewPCG(seed, 0x57))
	sizer := &sizer{buckets: sizes()}
	sizer.drawn = make([]int, len(sizer.buckets))
	c := &crew{rng: rng, run: run}
	t := &Trace{}
	var coming frees
	var slots slotter
	release := func(until float64) {
		for len(coming) > 0 && coming[0].at <= until {
			f := heap.Pop(&coming).(pending)
			c.at(f.at)
			thread := f.thread
			if !c.has(thread) || rng.Float64() < crossFrees {
				thread = c.any()
			}
			t.Events = append(t.Events, Event{Slot: f.slot, Thread: thread, Op: Free})
			slots.give(f.slot, len(t.Events))
		}
	}
	now := 0.0
	for i := range n {
		now = next(i, now)
		c.at(now)
		release(now)
		size := sizer.next()
		slot := slots.take(len(t.Events))
		thread := c.any()
		t.Events = append(t.Events, Event{Size: size, Slot: slot, Thread: thread, Op: Alloc})
		if end := now + lifetime(rng, size, longest); end < run {
			heap.Push(&coming, pending{end, slot, thread})
		}
	}
	t.Threads, t.Slots = uint32(c.next), slots.n
	return t
}

// sizer draws sizes. It is stratified: the fractional parts of multiples of an irrational number fill the unit
// interval evenly, so that a fifth of the bytes, which a few dozen large objects hold, is there in a short trace too.
type sizer struct {
	buckets []bucket
	drawn   []int // per bucket
	n       int
}

func (s *sizer) next() uint64 {
	_, u := math.Modf(float64(s.n) * math.Phi)
	s.n++
	i := 0
	for i < len(s.buckets)-1 && u >= s.buckets[i].share {
		u -= s.buckets[i].share
		i++
	}
	s.drawn[i]++
	_, v := math.Modf(float64(s.drawn[i]) * math.Sqrt2)
	return s.buckets[i].draw(v)
}
