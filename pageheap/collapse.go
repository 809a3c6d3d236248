package pageheap

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// Hugepages of the window's start, which is mapped in small pages, and those that were broken and have filled
// again, are collapsed once they are dense: then the memory is there anyway and only the translation is dear.

const (
	// collapseUsed is how many pages of a hugepage must be in spans: seven eighths.
	collapseUsed = perHuge / 8 * 7
	// collapsePresent is how much of it must be in memory: collapsing adds the rest to what is resident.
	collapsePresent = units.HugePageSize / 8 * 7
	// collapseMost bounds a node's part of a pass, once a second: 4 hugepages take 2 ms, and 24 ms where touching memory
	// is dear (virtual machines).
	collapseMost = 4
	// collapseAfter is how many passes are left out first: what ends within seconds would not earn the copy.
	collapseAfter = 5
	// looksMost bounds how many hugepages a pass looks at in the kernel.
	looksMost = 32
	// A collapse above slowCollapse (FACTS: 30 ms) or without memory doubles the passes that are left out, up to
	// patienceMax, one below halves them.
	slowCollapse = 30e6
	patienceMax  = 128
)

// collapser is the state of the passes. Only hp is guarded by Heap.mu; the rest belongs to the one thread at
// background work.
type collapser struct {
	hp       uint32               // number + 1 of the hugepage at which the kernel is at work; it is not released meanwhile
	cursor   uint32               // where the next pass goes on
	patience uint32               // passes left out after a bad one
	wait     uint32               // passes still to be left out
	seen     [maxHuge / 64]uint64 // hugepages known to be backed as such, or tried
	done     uint64               // collapsed
	refused  uint64               // and those that the system did not
}

// Collapse looks at some dense hugepages of each node's filler and collapses those in small pages. It returns how
// many. Call it about once a second; one thread at a time.
func (h *Heap) Collapse() (n int) {
	for i := range h.Nodes() {
		n += h.Node(i).collapseSome()
	}
	return n
}

func (h *Heap) collapseSome() (n int) {
	c := &h.collapse
	if c.wait > 0 {
		c.wait--
		return 0
	}
	if !h.window().HugePagesWanted() {
		return 0
	}
	hp := h.nextDense()
	if hp == maxHuge {
		return 0
	}
	pagemap, ok := vm.OpenPagemap()
	if !ok {
		return 0
	}
	for looks := 0; hp != maxHuge && n < collapseMost && looks < looksMost; looks++ {
		b := pagemap.Inspect(h.space.Addr(units.HugePageID(hp).Page()))
		if b.Known && b.Huge {
			c.seen[hp>>6%uint32(len(c.seen))] |= 1 << (hp & 63)
		} else if b.Known && b.Present >= collapsePresent {
			if !h.collapseOne(hp) {
				break
			}
			n++
		}
		h.letGo()
		hp = h.nextDense()
	}
	if hp != maxHuge {
		h.letGo()
	}
	pagemap.Close()
	return n
}

// collapseOne collapses hugepage hp, which is held, and reports whether to go on.
func (h *Heap) collapseOne(hp uint32) bool {
	c := &h.collapse
	start := sys.Now()
	e := h.window().Collapse(units.HugePageID(hp))
	took := sys.Now() - start
	c.seen[hp>>6%uint32(len(c.seen))] |= 1 << (hp & 63)
	if e == 0 {
		atomic.AddUint64(&c.done, 1)
	} else {
		atomic.AddUint64(&c.refused, 1)
	}
	if took > slowCollapse || e == sys.ENOMEM || e == sys.EAGAIN {
		c.patience = min(max(2*c.patience, 1), patienceMax)
		c.wait = c.patience
		return false
	}
	if took < slowCollapse/2 {
		c.patience /= 2
	}
	return true
}

// nextDense finds the next hugepage worth a look and holds it: it is not released until letGo. maxHuge if
// there is none among the next scanStep ones.
func (h *Heap) nextDense() uint32 {
	c := &h.collapse
	h.mu.Lock()
	top := uint32(h.covered)
	for range min(scanStep, top) {
		hp := c.cursor
		if c.cursor++; c.cursor >= top {
			c.cursor = 0
		}
		if hp >= top || !h.mine(units.HugePageID(hp)) {
			continue
		}
		t := h.filler.trackers.at(units.HugePageID(hp))
		if t.state != stateFiller || t.releasedPages != 0 || t.pinned || t.set == setCold {
			c.seen[hp>>6%uint32(len(c.seen))] &^= 1 << (hp & 63) // whatever becomes of it is to be looked at again
			continue
		}
		if uint32(t.usedPages) >= collapseUsed && c.seen[hp>>6%uint32(len(c.seen))]>>(hp&63)&1 == 0 {
			c.hp = hp + 1
			h.mu.Unlock()
			return hp
		}
	}
	h.mu.Unlock()
	return maxHuge
}

// letGo lets the hugepage that nextDense held be released again.
func (h *Heap) letGo() {
	h.mu.Lock()
	h.collapse.hp = 0
	h.mu.Unlock()
}
