package nucasim

import (
	"errors"
	"math/rand/v2"
	"runtime"

	"github.com/vcmalloc/vcmalloc/bench/fleet"
	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/simcpu"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/percpu"
)

const (
	packed   = "packed"
	drifting = "drifting"
	spread   = "spread"

	allocNanos = 2000 // between two allocations of a service: package fleet's half a million a second
	tickMillis = 10
)

// freed is who freed an object, and how much its domain had allocated by then.
type freed struct {
	cpu   int32
	clock uint64
}

// outcome of one simulation.
type outcome struct {
	own, near, far, cold uint64 // allocations by where the first access finds the object
	reused, crossed      uint64 // allocations of an object freed before, and freed in another domain
	unavoidable          uint64 // crossings that no transfer cache could have spared: see stock
	toldReused, told     uint64 // the same, as the heap's statistics tell
	toldForced           uint64 // and what they say had to cross, at least, of what passes below the per-CPU caches
	heapBytes, cached    float64
	ticks                int
}

// cost of the mean first access.
func (o *outcome) cost() float64 {
	n := float64(o.own + o.near + o.far + o.cold)
	return (float64(o.own)*ownCost + float64(o.near)*nearCost + float64(o.far)*farCost + float64(o.cold)*coldCost) / n
}

// service is a trace being played.
type service struct {
	events []fleet.Event
	live   []uintptr // by slot
	class  []units.ClassID
}

// stock is, for each class and domain, the objects that an allocator would have at hand which keeps for each domain
// whatever its CPUs free, without limit, apart by the node whose memory it is, to which objects go home. Such a one
// crosses only when a domain has allocated more than it has freed, by taking from the domain that has most: those
// crossings are unavoidable, if memory is to be reused as often as it was.
type stock [sizeclass.NumClasses][sockets][domains]uint64

// take takes an object of class c and a node for a domain, and reports whether it had to come from another.
func (s *stock) take(c units.ClassID, node uint32, domain int32) (crosses bool) {
	k := &s[c][node%sockets]
	from := domain
	if k[domain] == 0 {
		for d, n := range k {
			if n > k[from] {
				from = int32(d)
			}
		}
	}
	if k[from] == 0 { // the object had been of another class
		return false
	}
	k[from]--
	return from != domain
}

// warmup is after how many allocations of each service counting begins: half of them. Until then per-CPU caches fill,
// whose contents no transfer cache can hand out, and domains take from each other what they lack.
func warmup(traces []*fleet.Trace) int {
	n := 0
	for _, e := range traces[0].Events {
		if e.Op == fleet.Alloc {
			n++
		}
	}
	return max(n/2, 1)
}

// simulate plays one trace per service.
func simulate(traces []*fleet.Trace, place string, legacy config.Features, seed uint64) (*outcome, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h := new(heap.Heap)
	c := config.Default()
	c.Legacy, c.TickMillis, c.Topology = legacy, tickMillis, simcpu.Text(topologyText())
	ok := h.Init(&heap.Options{
		Config: c, Seed: seed,
		PerCPU: percpu.Options{VCPUs: cpus, Sequences: percpu.Sequences{CPU: simcpu.Function()}},
	})
	if !ok {
		return nil, errors.New("no address range for a heap")
	}
	defer h.Front.Transfer.Central.Pages.Unmap()

	out := &outcome{}
	s := &scheduler{rng: rand.New(rand.NewPCG(seed, 2)), place: place, at: map[uint32]int32{}}
	var order []uint32
	all := make([]service, len(traces))
	for i, t := range traces {
		all[i] = service{events: t.Events, live: make([]uintptr, t.Slots), class: make([]units.ClassID, t.Slots)}
		for thread := range t.Threads {
			order = append(order, uint32(i)<<16|thread)
		}
	}
	last := map[uintptr]freed{}
	var clock [domains]uint64
	at := new(stock)
	node := h.Front.Transfer.Central.Pages.NodeAt
	warm := warmup(traces)
	var before heap.Stats
	now := int64(1)
	for playing := true; playing; now += allocNanos {
		playing = false
		if warm--; warm == 0 {
			*out = outcome{}
			h.Stats(&before)
		}
		s.drift(now, order)
		for i := range all {
			v := &all[i]
			for len(v.events) > 0 {
				playing = true
				e := v.events[0]
				v.events = v.events[1:]
				cpu := s.cpu(i, e.Thread)
				simcpu.Set(cpu)
				if e.Op == fleet.Free {
					p := v.live[e.Slot]
					if p != 0 {
						last[p] = freed{cpu, clock[cpu/perDomain]}
						at[v.class[e.Slot]][node(p)%sockets][cpu/perDomain]++
						h.Free(p, heap.CallFree)
					}
					continue
				}
				p := h.Malloc(units.Bytes(e.Size))
				if p == 0 {
					return nil, errors.New("the system has no memory for the simulation")
				}
				v.live[e.Slot] = p
				c := sizeclass.ForMalloc(units.Bytes(e.Size))
				v.class[e.Slot] = c
				if c != 0 && out.count(last, p, cpu, &clock) && at.take(c, node(p), cpu/perDomain) { // a large object is pages, which no cache holds
					out.unavoidable++
				}
				clock[cpu/perDomain] += e.Size
				break // the next allocation of this service is another interval's
			}
		}
		if now%(tickMillis*1e6/4) < allocNanos {
			h.Background(now)
			out.look(h)
		}
	}
	var st heap.Stats
	h.Stats(&st)
	out.toldReused, out.told, out.toldForced = st.Reused-before.Reused, st.Crossed-before.Crossed, st.Forced-before.Forced
	return out, nil
}

// count an allocation by who freed the object, and report whether anybody did.
func (o *outcome) count(last map[uintptr]freed, p uintptr, cpu int32, clock *[domains]uint64) (again bool) {
	f, again := last[p]
	if !again {
		o.cold++
		return false
	}
	delete(last, p)
	from, to := f.cpu/perDomain, cpu/perDomain
	o.reused++
	if from != to {
		o.crossed++
	}
	switch {
	case clock[from]-f.clock > cacheBytes:
		o.cold++
	case f.cpu == cpu:
		o.own++
	case from == to:
		o.near++
	default:
		o.far++
	}
	return true
}

// look adds up the heap's memory.
func (o *outcome) look(h *heap.Heap) {
	var st heap.Stats
	h.Stats(&st)
	o.heapBytes += float64(st.Mapped - st.Unbacked - st.FillerReleased)
	o.cached += float64(st.PerCPU + st.Transfer + st.Central)
	o.ticks++
}
