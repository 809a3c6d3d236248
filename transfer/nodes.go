package transfer

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// maxKernelNodes is the kernel's largest MAX_NUMNODES.
const maxKernelNodes = 1 << 10

// nodes is what a tier knows of the machine's NUMA nodes. The first one in use has the home heap, the shared caches and
// the first central free lists; each other gets its own when a thread first misses there.
type nodes struct {
	n      uint32 // of the machine, 0 until Divide has found more than one; atomic
	opened uint32 // that have something of their own; from 2 on objects are told apart by node; atomic
	laid   uint32 // how many slots of table are mapped: as many as opened where the page heap was refused then
	stride uintptr
	table  vm.Table                   // their shared caches, but the first one's
	heap   [maxKernelNodes]uint32     // by the kernel's number: number of the node's heap, plus one; 0: not seen yet; atomic
	kernel [pageheap.MaxNodes]uint32  // the reverse
	counts [pageheap.MaxNodes]traffic // by heap
	mu     sys.DomainLock             // of changes
}

// traffic is what moves between the per-CPU caches and a node's objects, in objects. Atomic; one cache line.
type traffic struct {
	near uint64 // handed out to the node's own CPUs
	far  uint64 // handed out to others, whose own memory was exhausted
	home uint64 // freed on other nodes' CPUs and brought back
	_    [40]byte
}

// place is where a caller runs: its domain, and the number of its node's heap plus one. Zeros where there is but one.
type place struct{ domain, node uint32 }

func (t *Tier) place() (p place) {
	if atomic.LoadUint32(&t.apart) == 0 {
		return p
	}
	cpu := t.cpu()
	if atomic.LoadUint32(&t.domains.n) != 0 {
		p.domain = t.domainOf(cpu)
	}
	if atomic.LoadUint32(&t.nodes.n) != 0 {
		p.node = t.nodeOf(cpu)
	}
	return p
}

// Node is the number of the page heap of the node whose CPU runs the caller, plus one; 0 while one node is in use.
func (t *Tier) Node() uint32 {
	if atomic.LoadUint32(&t.nodes.n) == 0 {
		return 0
	}
	return t.nodeOf(t.cpu())
}

func (t *Tier) nodeOf(cpu int32) uint32 { return t.heapOf(uint32(t.Topology.Node(cpu))) }

// heapOf is Node for the node that the kernel gives this number.
func (t *Tier) heapOf(kernel uint32) uint32 {
	k := &t.nodes
	kernel %= maxKernelNodes
	i := atomic.LoadUint32(&k.heap[kernel])
	if i == 0 {
		i = t.openNode(kernel)
	}
	if atomic.LoadUint32(&k.opened) < 2 {
		return 0
	}
	return i
}

// divideNodes prepares for the nodes of the topology, if there are several. It maps nothing.
func (t *Tier) divideNodes() {
	k, z := &t.nodes, sharedSizes()
	if t.OneNode || t.Topology.Nodes() < 2 {
		return
	}
	k.stride = (sharedHeader + uintptr(z.total())*9 + 4095) &^ 4095 // a slot's eight bytes and its tag
	if t.Central.Pages.NewEmptyTable(&k.table, (pageheap.MaxNodes-1)*k.stride) {
		atomic.StoreUint32(&k.n, uint32(t.Topology.Nodes()))
		atomic.StoreUint32(&t.apart, 1)
	}
}

const sharedHeader = (unsafe.Sizeof(group{}) + 63) &^ 63

// openNode takes note that a node is in use, and returns the number of its heap plus one. Who finds another thread at
// it uses the home heap meanwhile.
func (t *Tier) openNode(kernel uint32) uint32 {
	k := &t.nodes
	if !k.mu.TryLock() {
		return 1
	}
	i := k.heap[kernel]
	if i == 0 {
		i = t.addNode(kernel) + 1
		atomic.StoreUint32(&k.heap[kernel], i)
	}
	k.mu.Unlock()
	return i
}

// addNode makes the caches, lists and page heap of a node, and returns its number. Where there is no memory for them
// the home heap serves it; the next node then gets what was mapped already. Nodes beyond the most share those of the
// others. Preconditions: the lock is held.
func (t *Tier) addNode(kernel uint32) uint32 {
	k := &t.nodes
	i := k.opened
	if i == pageheap.MaxNodes {
		return kernel % pageheap.MaxNodes
	}
	if i > 0 {
		at := k.table.Base() + uintptr(i-1)*k.stride
		if !t.Central.AddNode(i) {
			return 0
		}
		if k.laid < i {
			if !t.Central.Pages.MapMetadata(at, k.stride) {
				return 0
			}
			k.laid = i
		}
		if _, ok := t.Central.Pages.AddNode(kernel); !ok {
			return 0
		}
		t.initShared((*group)(sys.At(at)), at+sharedHeader, i)
		if i == 1 {
			t.Central.Pages.Bind(k.kernel[0])
		}
	}
	k.kernel[i] = kernel
	atomic.StoreUint32(&k.opened, i+1)
	return i
}

// initShared makes the shared caches of a node, whose slots begin at an address, their tags behind them.
func (t *Tier) initShared(g *group, slots uintptr, node uint32) {
	z := sharedSizes()
	g.init(z, slots)
	g.node = node
	if atomic.LoadUintptr(&t.shared.tags) != 0 {
		g.tags = slots + uintptr(z.total())*8
	}
}

// sharedOf is the shared caches of node i.
func (t *Tier) sharedOf(i uint32) *group {
	if i == 0 {
		return &t.shared
	}
	return (*group)(sys.At(t.nodes.table.Base() + uintptr(i-1)*t.nodes.stride))
}

// sharedGroups is how many nodes have shared caches of their own, at least 1.
func (t *Tier) sharedGroups() uint32 { return max(atomic.LoadUint32(&t.nodes.opened), 1) }

// insertApart is Insert where several nodes are in use: each object goes to its own node's caches. The domain's
// shard s, if not nil, takes those of its node.
func (t *Tier) insertApart(at place, s *shard, c units.ClassID, objects []uintptr) (bad uintptr) {
	for len(objects) > 0 {
		node, n := t.Central.Split(objects)
		part := objects[:n]
		objects = objects[n:]
		t.Central.NoteFreed(node, c, at.domain, n)
		if node != at.node-1 {
			atomic.AddUint64(&t.nodes.counts[node].home, uint64(n))
		} else if s != nil {
			part = part[s.put(c, part, at.domain, &t.budget):]
		}
		if len(part) > 0 {
			if b := t.insertOf(node, c, part, at.domain); bad == 0 {
				bad = b
			}
		}
	}
	return bad
}

// removeNear is Remove where several nodes are in use: from the node's own memory, and only when that is exhausted
// from the others'.
func (t *Tier) removeNear(at place, c units.ClassID, out []uintptr, n int) int {
	own := (at.node - 1) % pageheap.MaxNodes
	if at.domain != none {
		if got := t.removeOwn(own, c, out, n, at.domain); got > 0 {
			return t.counted(own, own, got)
		}
	}
	several := t.sharedGroups()
	for i := range several {
		node := (own + i) % several
		if got := t.removeAny(node, c, out, n, at.domain); got > 0 {
			return t.counted(own, node, got)
		}
	}
	return 0
}

// counted counts objects that node from handed out to a CPU of node to.
func (t *Tier) counted(to, from uint32, got int) int {
	k := &t.nodes.counts[from%pageheap.MaxNodes]
	if from == to {
		atomic.AddUint64(&k.near, uint64(got))
	} else {
		atomic.AddUint64(&k.far, uint64(got))
	}
	return got
}

// NodeStats is what the transfer caches know of a node that has a heap of its own.
type NodeStats struct {
	Kernel          uint32 // number that the kernel gives the node
	CPUs            uint32 // of the node, online when the topology was read
	Near, Far, Home uint64 // objects: see traffic
}

// Nodes is how many nodes have heaps of their own, at least 1.
func (t *Tier) Nodes() uint32 { return t.sharedGroups() }

// NodeStats reads the counters of the node with heap i. Preconditions: i < Nodes().
func (t *Tier) NodeStats(i uint32, out *NodeStats) {
	k := &t.nodes
	c := &k.counts[i%pageheap.MaxNodes]
	*out = NodeStats{Kernel: k.kernel[i%pageheap.MaxNodes], Near: atomic.LoadUint64(&c.near), Far: atomic.LoadUint64(&c.far),
		Home: atomic.LoadUint64(&c.home)}
	for cpu := int32(0); cpu < int32(t.Topology.Limit()); cpu++ {
		if t.Topology.Online(cpu) && atomic.LoadUint32(&k.heap[uint32(t.Topology.Node(cpu))%maxKernelNodes]) == i+1 {
			out.CPUs++
		}
	}
}
