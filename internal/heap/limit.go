package heap

import (
	"github.com/vcmalloc/vcmalloc/internal/pressure"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// awareness is what the heap knows of the memory that others have left it. It is used by whoever does the
// background work.
type awareness struct {
	watch   pressure.Watch
	root    uintptr
	off     bool
	drained uint64           // tick of the last time the caches were emptied for it
	short   bool             // memory was about to run out at the last look
	reading pressure.Reading // the last
}

const (
	// awareFrom is how large a heap must be before files are read for it: what a smaller one could give back
	// is not worth it.
	awareFrom = 64 << 20
	// alarmTicks is how often an alarm empties the caches, which have to fill again.
	alarmTicks = 10
)

// urgency looks at control groups and stalls. While memory is about to run out, or the heap is above its soft
// limit, it empties the caches, so that what they held can go back. Preconditions: the caller is inside, and the
// only one at background work.
func (h *Heap) urgency() pageheap.Urgency {
	a := &h.awareness
	u := pageheap.Calm
	if !a.off && h.pages().Grown() >= awareFrom {
		a.reading = a.watch.Read(a.root)
		u = pageheap.Pressed(a.reading.Limit, a.reading.Used, a.reading.Stall)
	}
	a.short = h.pages().OverLimit() || u == pageheap.Alarm
	if a.short && h.tick.ticks-a.drained >= alarmTicks {
		a.drained = h.tick.ticks
		h.Front.DrainAll()
		h.Front.Transfer.Drain()
	}
	return u
}

// Short reports whether the last background work found memory about to run out, or the heap above its soft limit.
// Whoever does that work may ask.
func (h *Heap) Short() bool { return h.awareness.short }

// SetLimits bounds the memory behind the heap, as pageheap.Heap.SetLimits, at any time. Preconditions: Init has run.
func (h *Heap) SetLimits(soft, hard units.Bytes) { h.pages().SetLimits(soft, hard) }

// SoftLimit is pageheap.Heap.SoftLimit.
func (h *Heap) SoftLimit() units.Bytes { return h.pages().SoftLimit() }

// reclaim empties the caches for a request that the hard limit refused, and reports whether it did.
func (h *Heap) reclaim() bool {
	if !h.pages().HardLimited() {
		return false
	}
	g := h.enter()
	if g < 0 {
		return false
	}
	h.Front.DrainAll()
	h.Front.Transfer.Drain()
	h.leave(g)
	return true
}

// allocRefused tries once more for an object of class c, if the hard limit is why there was none.
func (h *Heap) allocRefused(c units.ClassID) (p uintptr) {
	if !h.reclaim() {
		return 0
	}
	if g := h.enter(); g >= 0 {
		p = h.Front.Alloc(c)
		h.leave(g)
	}
	return p
}

// ReleaseBytes returns about n bytes of free memory to the system, or all there is, free hugepages first, and
// reports how many this call returned. What one call returns beyond n counts for the next.
func (h *Heap) ReleaseBytes(n units.Bytes) (done units.Bytes) {
	if g := h.enter(); g >= 0 {
		done = h.pages().ReleaseAtLeast(min(n, trimStep), true)
		h.leave(g)
	}
	return done
}
