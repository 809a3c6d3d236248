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
	// collapseShare is the part of the time that goes into collapsing, over all nodes: a 64th, so 16 ms a second. A
	// hugepage takes half a millisecond, or 5 to 6 where touching memory is dear (virtual machines).
	collapseShare = 64
	// collapseSaved bounds what may be saved up, in nanoseconds: what a pass a second has.
	collapseSaved = 1e9 / collapseShare
	// collapseAfter is how many passes are left out first: what ends within seconds would not earn the copy.
	collapseAfter = 5
	// looksMost bounds how many hugepages a pass looks at in the kernel.
	looksMost = 64
	// A collapse above slowCollapse (FACTS: 30 ms) or without memory doubles the passes that are left out, up to
	// patienceMax, one below halves them.
	slowCollapse = 30e6
	patienceMax  = 128
)

// collapser is what a node knows of its own hugepages. Only hp is guarded by Heap.mu; the rest belongs to the one thread
// at background work.
type collapser struct {
	hp      uint32               // number + 1 of the hugepage at which the kernel is at work; it is not released meanwhile
	cursor  uint32               // where the next pass goes on
	seen    [maxHuge / 64]uint64 // hugepages known to be backed as such, or tried
	done    uint64               // collapsed
	refused uint64               // and those that the system did not
	pace    pace                 // of all nodes; the home heap's
}

// pace is how much collapsing there may be, whatever node it is for.
type pace struct {
	last     int64  // time of the last pass
	balance  int64  // nanoseconds that may be spent; below 0 what was spent too much
	turn     uint32 // node that the next look is for
	patience uint32 // passes left out after a bad one
	wait     uint32 // passes still to be left out
}

// begin reports whether there is to be a pass at time now.
func (p *pace) begin(now int64) bool {
	if elapsed := now - p.last; p.last != 0 && elapsed > 0 {
		p.balance = min(p.balance+elapsed/collapseShare, collapseSaved)
	}
	p.last = now
	if p.wait > 0 {
		p.wait--
		return false
	}
	return p.balance > 0
}

// spent takes down a collapse of the given length in nanoseconds, and reports whether to go on.
func (p *pace) spent(took int64, e sys.Errno) bool {
	p.balance -= took
	if took > slowCollapse || e == sys.ENOMEM || e == sys.EAGAIN {
		p.patience = min(max(2*p.patience, 1), patienceMax)
		p.wait = p.patience
		return false
	}
	if took < slowCollapse/2 {
		p.patience /= 2
	}
	return p.balance > 0
}

// Collapse looks at some dense hugepages and collapses those in small pages, for a 64th of the time that has passed
// since the last call. The nodes take turns, a hugepage each. It returns how many. now is a clock in nanoseconds. Call it
// about once a second; one thread at a time.
func (h *Heap) Collapse(now int64) (n int) {
	r := h.root()
	p := &r.collapse.pace
	if !p.begin(now) || !r.space.HugePagesWanted() {
		return 0
	}
	var pagemap vm.Pagemap
	open, nodes, idle := false, r.Nodes(), uint32(0)
	most := min(looksMost, r.space.Grown()>>units.HugePageShift) // none twice
	for looks, more := uintptr(0), true; more && looks < most && idle < nodes; looks++ {
		k := r.Node(p.turn % nodes)
		p.turn = (p.turn + 1) % nodes
		hp := k.nextDense()
		if hp == maxHuge {
			idle++ // looks at none of it are left
			continue
		}
		idle = 0
		if !open {
			if pagemap, open = vm.OpenPagemap(); !open {
				k.letGo(false)
				return n
			}
		}
		b := pagemap.Inspect(k.space.Addr(units.HugePageID(hp).Page()))
		huge := b.Known && b.Huge
		if huge {
			k.collapse.see(hp)
		} else if b.Known && b.Present >= collapsePresent {
			if huge, more = k.collapseOne(hp, p); huge {
				n++
			}
		}
		k.letGo(huge)
	}
	if open {
		pagemap.Close()
	}
	return n
}

// collapseOne collapses hugepage hp, which is held. more says whether to go on.
func (h *Heap) collapseOne(hp uint32, p *pace) (done, more bool) {
	c := &h.collapse
	start := sys.Now()
	e := h.window().Collapse(units.HugePageID(hp))
	took := sys.Now() - start
	c.see(hp)
	if e == 0 {
		atomic.AddUint64(&c.done, 1)
	} else {
		atomic.AddUint64(&c.refused, 1)
	}
	return e == 0, p.spent(took, e)
}

// see takes down that hugepage hp needs no other look, until something becomes of it.
func (c *collapser) see(hp uint32) { c.seen[hp>>6%uint32(len(c.seen))] |= 1 << (hp & 63) }

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
		seen := &c.seen[hp>>6%uint32(len(c.seen))]
		dense, changed := h.density(units.HugePageID(hp))
		if changed {
			*seen &^= 1 << (hp & 63) // whatever becomes of it is to be looked at again
		}
		if dense && *seen>>(hp&63)&1 == 0 {
			c.hp = hp + 1
			h.mu.Unlock()
			return hp
		}
	}
	h.mu.Unlock()
	return maxHuge
}

// density reports whether hugepage hp is worth a look, and whether what was known of it no longer holds. What belongs
// to a large span is: its owner may have touched all of it. Caller holds mu.
func (h *Heap) density(hp units.HugePageID) (dense, changed bool) {
	t := h.filler.trackers.at(hp)
	switch t.state {
	case stateFiller:
		return !t.pinned && t.set != setCold && uint32(t.usedPages) >= collapseUsed, t.releasedPages != 0 && !t.small
	case stateNone:
		free := h.cache.isFree(hp, kindAny)
		w := h.chilled.bits[hp>>6%units.HugePageID(len(h.chilled.bits))]
		// While something is in limbo, this may be it.
		return !free && h.cache.limbo == 0 && w>>(hp&63)&1 == 0, free
	}
	return false, true
}

// letGo lets the hugepage that nextDense held be released again. huge says that a hugepage is behind it now.
func (h *Heap) letGo(huge bool) {
	h.mu.Lock()
	hp := units.HugePageID(h.collapse.hp - 1)
	h.collapse.hp = 0
	if huge {
		if hp < unhuged {
			h.asked |= 1 << (hp % unhuged)
		}
		if t := h.filler.trackers.at(hp); t.state == stateFiller {
			h.filler.made(hp, t)
		}
		h.announce()
	}
	h.mu.Unlock()
}
