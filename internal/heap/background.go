package heap

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
	"github.com/vcmalloc/vcmalloc/percpu"
)

// Periods of the background work, in ticks: of one second, unless VCMALLOC_TICK says less.
const (
	rebalanceTicks = 2 // capacities of the transfer caches
	balanceTicks   = 5 // budgets of vCPUs, and a look at what is idle (paper section 5.4.1)

	// slowCalls is how many slow-path calls pass between looks at the clock where there is no thread: a
	// clock_gettime by system call costs 100 ns and more, a slow path about as much.
	slowCalls = 1024
)

// ticker remembers when work was last done.
type ticker struct {
	busy    uint32
	calls   uint32
	last    int64 // nanoseconds of the monotonic clock
	nanos   int64 // length of a tick
	ticks   uint64
	urgency pageheap.Urgency // of this one
}

// The steps of the background work, in order. Each takes some microseconds to some tens of them, system calls and
// objects that go down the tiers apart.
const (
	stepPlunder = iota
	stepSnapshot
	stepRebalance
	stepDrainIdle
	stepBalance
	stepUrgency
	stepRelease
	stepCollapse
	stepPublish
	steps
)

// Background does what is due at time now (nanoseconds, monotonic): looking at the machine's topology, rebalancing
// and plundering the transfer caches, draining idle vCPUs, balancing their budgets, returning memory to the system.
// It returns at once if another thread is at it, or a fork. Call it about once a second. It reports whether work was
// due and there are vCPUs whose CPUs somebody should visit: see Visit.
func (h *Heap) Background(now int64) (visit bool) {
	if !atomic.CompareAndSwapUint32(&h.tick.busy, 0, 1) {
		return false
	}
	if g := h.enter(); g >= 0 {
		if h.due(now) {
			for s := uint32(0); s < steps; s++ {
				h.step(s, now)
			}
			visit = h.Front.Visits()
		}
		h.leave(g)
	}
	atomic.StoreUint32(&h.tick.busy, 0)
	return visit
}

// BackgroundStep is Background in pieces, for callers who must not be kept long: call it with 0, 1, 2 and so on and the
// same time as long as it says that there is more to do.
func (h *Heap) BackgroundStep(now int64, n uint32) (more bool) {
	if !atomic.CompareAndSwapUint32(&h.tick.busy, 0, 1) {
		return false
	}
	if g := h.enter(); g >= 0 {
		if n == 0 {
			more = h.due(now)
		} else {
			h.step(n-1, now)
			more = n < steps
		}
		h.leave(g)
	}
	atomic.StoreUint32(&h.tick.busy, 0)
	return more
}

// Visit is a step of a round of visits: percpu.Cache.NextVisit. A fork ends the round.
func (h *Heap) Visit(v units.VCPU, reached bool) units.VCPU {
	g := h.enter()
	if g < 0 {
		return percpu.NoVisit
	}
	v = h.Front.NextVisit(v, reached)
	h.leave(g)
	return v
}

// due reports whether a tick has passed, and begins the next. After a pause the work is done once, not once for each
// missed tick.
func (h *Heap) due(now int64) bool {
	t := &h.tick
	if now-t.last < t.nanos {
		return false
	}
	t.last = now
	t.ticks++
	if !h.divided { // not at the start: small programs end before they miss often enough to come here
		h.divide(0)
	}
	return true
}

// step does a step of the work of a tick. Preconditions: the caller is inside, and the only one at it.
func (h *Heap) step(n uint32, now int64) {
	t := &h.tick
	switch n {
	case stepPlunder:
		h.Front.Transfer.Plunder()
	case stepSnapshot:
		h.Front.Transfer.Central.Snapshot()
	case stepRebalance:
		if t.ticks%rebalanceTicks == 0 {
			h.Front.Transfer.Rebalance()
		}
	case stepDrainIdle:
		if t.ticks%balanceTicks == 0 {
			h.Front.DrainIdle()
		}
	case stepBalance:
		if t.ticks%balanceTicks == 0 {
			h.Front.Balance()
		}
	case stepUrgency:
		t.urgency = h.urgency()
	case stepRelease:
		if t.urgency != pageheap.Calm || !h.retain {
			h.pages().Background(now/t.nanos*1e9, t.urgency)
		}
	case stepCollapse:
		if t.urgency == pageheap.Calm && !h.uncollapsed {
			h.pages().Collapse(now / t.nanos * 1e9)
		}
	case stepPublish:
		h.publish(now)
	}
}

// Publish writes the statistics block at once, whatever is due.
func (h *Heap) Publish(now int64) {
	if !h.published.open || !atomic.CompareAndSwapUint32(&h.tick.busy, 0, 1) {
		return
	}
	if g := h.enter(); g >= 0 {
		h.publish(now)
		h.leave(g)
	}
	atomic.StoreUint32(&h.tick.busy, 0)
}

// Poll does background work now and then from slow paths, for processes without a background thread.
func (h *Heap) Poll() {
	// Racy by intent: a lost increment delays the work by one call.
	n := atomic.LoadUint32(&h.tick.calls) + 1
	atomic.StoreUint32(&h.tick.calls, n)
	if n%slowCalls == 0 {
		h.Background(sys.Now())
	}
	if h.pages().Untidy() && !h.retain {
		h.tidy()
	}
}

// tidy gives back what has been free for some tens of milliseconds, at a bounded cost.
func (h *Heap) tidy() {
	if g := h.enter(); g >= 0 {
		h.pages().Tidy(sys.Now(), sys.CPUTime())
		h.leave(g)
	}
}

// trimStep bounds how many bytes Trim returns without letting a fork in: some 10 ms of work.
const trimStep = 1 << 30

// Trim returns as much memory to the system as it can, beginning with what the caches hold, and reports how
// many bytes.
func (h *Heap) Trim() (n uintptr) {
	for i := 0; i < 1<<10; i++ { // a window: others may free as fast as this goes
		done, more := h.TrimStep(i == 0)
		n += done
		if !more {
			break
		}
	}
	return n
}

// TrimStep is one step of Trim; first empties the caches. more says that there may be more to return.
func (h *Heap) TrimStep(first bool) (n uintptr, more bool) {
	g := h.enter()
	if g < 0 {
		return 0, false
	}
	if first {
		h.Front.DrainAll()
		h.Front.Transfer.Drain()
	}
	n = h.pages().Release(trimStep, true)
	h.leave(g)
	return n, n >= trimStep
}
