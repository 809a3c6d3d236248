package pageheap

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// Where a process runs on several NUMA nodes, each has a page heap of its own. They share one window and what is
// indexed by its pages: page map, span table, trackers. These belong to the first heap, the home heap, which is the
// only one of most processes. A hugepage belongs to the heap that grew the window by it, for ever: one byte each,
// the owner, tells. All else (lock, filler, regions, cache, demand) each heap has for itself.
//
// The others lie in metadata memory and have a copy of the home heap's space and tables, of which they use what
// never changes: the addresses. What changes they reach through root.

// MaxNodes is how many heaps a window can have. Machines with more nodes have groups of nodes share one.
const MaxNodes = 16

const (
	// Several heaps take turns at the end of one window, so each takes a quarter of what it has at a time, within
	// these bounds, in hugepages: the runs that large spans need stay whole, and one mbind serves for all of it.
	// They are addresses until they are touched.
	extentMin, extentMax = 4, 512

	nodeStride = (unsafe.Sizeof(Heap{}) + 4095) &^ 4095
)

// nodes is what the home heap knows of the others. The zero value is none.
type nodes struct {
	n      uint32   // heaps, the home heap included; 0 like 1 while it is alone; atomic
	heaps  vm.Table // of the heaps but the home heap
	owners vm.Table // a byte for each hugepage the window may have
}

// root is the heap that owns the window.
func (h *Heap) root() *Heap {
	if h.home == 0 {
		return h
	}
	return (*Heap)(sys.At(h.home))
}

// window is the one window, where its growth matters: other heaps' copies do not grow.
func (h *Heap) window() *vm.Space { return &h.root().space }

// Nodes is how many heaps share the window, at least 1.
func (h *Heap) Nodes() uint32 { return max(atomic.LoadUint32(&h.root().nodes.n), 1) }

// Node is heap i of the window; 0 is the home heap. Preconditions: i < Nodes().
func (h *Heap) Node(i uint32) *Heap {
	r := h.root()
	if i == 0 {
		return r
	}
	return (*Heap)(sys.At(r.nodes.heaps.Base() + uintptr(i-1)*nodeStride))
}

// NodeAt is the heap that address p belongs to. It needs no lock. Preconditions: p lies in the window.
func (h *Heap) NodeAt(p uintptr) uint32 { return h.ownerOf(h.space.Page(p).Huge()) }

func (h *Heap) ownerOf(hp units.HugePageID) uint32 {
	r := h.root()
	if atomic.LoadUint32(&r.nodes.n) < 2 {
		return 0
	}
	return uint32(sys.Byte(r.nodes.owners.Base()+uintptr(hp&(maxHuge-1)))) % MaxNodes
}

// of is the heap that span id belongs to. Preconditions: id is a live span.
func (h *Heap) of(id units.SpanID) *Heap {
	if r := h.root(); atomic.LoadUint32(&r.nodes.n) < 2 {
		return r
	}
	return h.Node(h.ownerOf(h.spans.At(id).First.Huge()))
}

// mine reports whether hugepage hp, below covered, is the heap's own.
func (h *Heap) mine(hp units.HugePageID) bool { return h.ownerOf(hp) == h.index }

// AddNode makes another heap in the window, for the NUMA node that the kernel gives the number kernel, and returns
// its number here. It reports false, and nothing has changed, when there is no memory for it or there are MaxNodes.
// Call it on the home heap; one thread at a time.
func (h *Heap) AddNode(kernel uint32) (i uint32, ok bool) {
	h.growMu.Lock()
	i = h.Nodes()
	t := &h.nodes
	if t.heaps.Base() == 0 {
		t.heaps = h.space.NewTable((MaxNodes - 1) * nodeStride)
		t.owners = h.space.NewTable(uintptr(h.space.MaxPages()) >> units.PagesPerHugeShift)
	}
	huge := uintptr(h.space.MaxPages()) >> units.PagesPerHugeShift
	ok = i < MaxNodes && t.owners.Base()+huge <= h.space.Base() && t.owners.Ensure(&h.space, huge) &&
		h.space.MapTablePart(t.heaps.Base()+uintptr(i-1)*nodeStride, nodeStride)
	if ok {
		h.mu.Lock()
		k := h.Node(i)
		k.home, k.index = uintptr(unsafe.Pointer(h)), i
		k.space, k.pages, k.filler.trackers = h.space, h.pages, h.filler.trackers
		k.spans.Borrow(&h.spans)
		k.lifetime, k.maxBytes, k.limits = h.lifetime, h.maxBytes, h.limits
		k.limits.softHits, k.limits.refused = 0, 0
		k.regions.patience = tailsMost
		k.bind = kernel + 1
		atomic.StoreUint32(&t.n, i+1)
		h.announce()
		h.mu.Unlock()
	}
	h.growMu.Unlock()
	return i, ok
}

// Bind says that what the heap grows by from now on should lie in the memory of the NUMA node that the kernel gives
// this number. AddNode's heaps are bound from the beginning.
func (h *Heap) Bind(kernel uint32) {
	r := h.root()
	r.growMu.Lock()
	h.bind = kernel + 1
	r.growMu.Unlock()
}

// claim makes n hugepages, just grown, the heap's own. The memory is to come from its node, if the system can have
// that so: a sandbox forbids it, a node of an override may not exist, and somebody who started the program with a
// policy for its memory knows better. Then whoever touches it first decides. Caller holds the root's growMu.
func (h *Heap) claim(first units.HugePageID, n uint32) {
	r := h.root()
	if h.index != 0 {
		at := r.nodes.owners.Base() + uintptr(first)
		for i := range uintptr(n) {
			*(*uint8)(sys.At(at + i)) = uint8(h.index)
		}
	}
	if h.bind != 0 && sys.PreferNode(h.space.Addr(first.Page()), units.Bytes(n)<<units.HugePageShift, uintptr(h.bind-1)) != 0 {
		h.bind = 0
	}
}

// extent is how many hugepages to grow by when n are needed: more where others take turns at the window's end.
func (h *Heap) extent(n uint32) uint32 {
	if h.Nodes() < 2 {
		return n
	}
	return max(n, min(max(uint32(h.hugeGrown/4), extentMin), extentMax))
}

// announce lets the other heaps know what counts for the limits, which hold for all together. Caller holds mu.
func (h *Heap) announce() {
	if atomic.LoadUint32(&h.root().nodes.n) < 2 {
		return
	}
	atomic.StoreUint64(&h.announced, h.ownPages())
	atomic.StoreUint64(&h.announcedFree, h.freePages())
}

// elsewhere is how many pages the other heaps have memory behind, and how many of these are free.
func (h *Heap) elsewhere() (backed, free uint64) {
	n := h.Nodes()
	if n < 2 || h.limits.soft == unlimited {
		return 0, 0
	}
	for i := range n {
		if k := h.Node(i); i != h.index {
			backed += atomic.LoadUint64(&k.announced)
			free += atomic.LoadUint64(&k.announcedFree)
		}
	}
	return backed, free
}
