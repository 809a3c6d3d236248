package heap

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// gates is how many counters threads are counted in, by their stacks' addresses, so that they do not share
// a cache line.
const gates = 32

type gate struct {
	n uint32
	_ [60]byte
}

// enter lets the caller work on shared state until leave. It returns -1 when it may not: a fork is under
// way. It never waits.
func (h *Heap) enter() int {
	var here byte
	a := uintptr(unsafe.Pointer(&here))
	i := int((a>>12 ^ a>>20) % gates)
	atomic.AddUint32(&h.gates[i].n, 1)
	if atomic.LoadUint32(&h.forking) != 0 {
		h.leave(i)
		return -1
	}
	if atomic.LoadUint64(&h.deferred) != 0 {
		h.drainDeferred()
	}
	return i
}

func (h *Heap) leave(i int) {
	sys.HoldsNone()
	atomic.AddUint32(&h.gates[i%gates].n, ^uint32(0))
}

func (h *Heap) inside() (n uint32) {
	for i := range h.gates {
		n += atomic.LoadUint32(&h.gates[i].n)
	}
	return n
}

// forkWait bounds how long a fork waits for another one to finish: overlapping forks would leave the gate
// closed for long, but a wait without bound could end in a circle through the C library's locks.
const forkWait = 20e6 // ns

// ForkBegin brings the heap to rest for a fork by the calling thread, which was itself inside own times (a
// signal handler that forks). Other threads go on, from the side region.
func (h *Heap) ForkBegin(own uint32) {
	for waited := int64(0); waited < forkWait; waited += 50e3 {
		if atomic.CompareAndSwapUint32(&h.forking, 0, 1) {
			h.awaitRest(own)
			return
		}
		sys.Sleep(50e3)
	}
	atomic.AddUint32(&h.forking, 1)
	h.awaitRest(own)
}

// awaitRest waits until nobody is inside. What they do there is bounded: they hold no lock that is not the
// heap's, and the longest system call is a bounded madvise.
//
// A signal handler that forks may have interrupted its own thread inside, or on its way in or out; own says so.
// Then the count may never be zero, and others inside may wait for a lock of that thread. So the wait is
// bounded: the fork goes on with the heap as it is.
func (h *Heap) awaitRest(own uint32) {
	end := int64(0)
	if own > 0 {
		end = sys.Now() + forkWait
	}
	for i := 0; h.inside() > 0; i++ {
		if own > 0 && sys.Now() > end {
			return
		}
		if i < 100 {
			sys.Pause(16)
		} else {
			sys.Sleep(20e3)
		}
	}
}

// ForkParent ends a fork in the parent.
func (h *Heap) ForkParent() { atomic.AddUint32(&h.forking, ^uint32(0)) }

// ForkChild ends a fork in the child, where the caller is the only thread.
func (h *Heap) ForkChild(own uint32) {
	own = min(own, h.inside()) // others are no more
	sys.ForgetLocks(own > 0)
	h.resetAfterFork()
	atomic.StoreUint32(&h.tick.busy, 0) // its holder may be a thread that is no more
	h.gates[0].n = own
	atomic.StoreUint32(&h.forking, 0)
	if h.published.open {
		h.openBlock()
	}
}

// deferFree keeps p, an object whose state was checked, to be freed when the fork is over. Its first word
// links it: one compare-and-swap, so the list is whole at every instant.
func (h *Heap) deferFree(p uintptr) {
	for {
		head := atomic.LoadUint64(&h.deferred)
		sys.Store64(p, head)
		if atomic.CompareAndSwapUint64(&h.deferred, head, uint64(p)) {
			return
		}
	}
}

// drainDeferred frees what came during a fork. Preconditions: the caller is inside.
func (h *Heap) drainDeferred() {
	for p := uintptr(atomic.SwapUint64(&h.deferred, 0)); p != 0; {
		next := uintptr(sys.Load64(p))
		var o object
		h.find(p, &o)
		if o.kind == small && h.isMarked(p) { // no deferred object is: its first word is a link
			o.kind = freed
		}
		switch o.kind {
		case small:
			h.mark(p)
			if o.hint != pageheap.HintNone {
				h.freeHinted(&o, p)
			} else {
				h.Front.Free(o.class, p)
			}
		case large:
			h.pages().Free(o.span)
		default: // freed twice meanwhile: the list ends here, the rest is lost, and the program is told
			h.lateMisuse(p)
			return
		}
		p = next
	}
}
