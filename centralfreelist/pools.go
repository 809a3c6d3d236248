package centralfreelist

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/vm"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// A pool is a list for each class. Spans never move between pools, and objects return to the pool of their span.
//
// Each NUMA node that has a page heap of its own has a pool of its own, which holds that heap's spans only; its number
// is the node's. Objects whose callers gave a hint (pageheap.Hint) are in pools of their own, one for each node and
// hint, made when first asked for: they never share a span with others. The pool of the home heap, number 0, lies in
// the Tier, the others in metadata memory.

type lists [sizeclass.NumClasses]list

const (
	// pools is how many there can be: pool node + MaxNodes*hint.
	pools      = pageheap.MaxNodes * pageheap.Hints
	poolStride = (unsafe.Sizeof(lists{}) + 4095) &^ 4095
)

// PoolOf is the pool of a node for a hint.
func PoolOf(node uint32, hint pageheap.Hint) uint32 { return node + pageheap.MaxNodes*uint32(hint) }

func nodeOf(pool uint32) uint32        { return pool % pageheap.MaxNodes }
func hintOf(pool uint32) pageheap.Hint { return pageheap.Hint(pool / pageheap.MaxNodes) }

// AddNode makes the pool of page heap i, which is to be made next, unless it did so before and the page heap was
// refused. It reports false when the system has no memory.
func (t *Tier) AddNode(i uint32) bool {
	t.opening.Lock()
	ok := t.mapPool(i)
	t.opening.Unlock()
	return ok
}

// OpenHinted makes the pool for a hint if need be. It reports false when the system has no memory for it.
func (t *Tier) OpenHinted(pool uint32) bool {
	if t.open(pool) {
		return true
	}
	t.opening.Lock()
	ok := t.open(pool) || t.mapPool(pool)
	t.opening.Unlock()
	return ok
}

// open reports whether a pool exists.
func (t *Tier) open(pool uint32) bool {
	if pool < pageheap.MaxNodes {
		return pool < t.Pages.Nodes()
	}
	return t.mapped(pool)
}

func (t *Tier) mapped(pool uint32) bool { return atomic.LoadUint64(&t.laid)>>pool&1 != 0 }

// mapPool maps the lists of a pool but 0, once. Preconditions: opening is held.
func (t *Tier) mapPool(pool uint32) bool {
	if t.mapped(pool) {
		return true
	}
	if t.others.Base() == 0 {
		var table vm.Table
		if !t.Pages.NewEmptyTable(&table, (pools-1)*poolStride) {
			return false
		}
		t.others = table
	}
	ok := t.Pages.MapMetadata(t.others.Base()+uintptr(pool-1)*poolStride, poolStride)
	if ok {
		atomic.StoreUint64(&t.laid, t.laid|1<<pool)
	}
	return ok
}

const _ = uint(64 - pools) // Tier.laid has a bit for each

// on is the lists of a pool. Preconditions: it exists.
func (t *Tier) on(pool uint32) *lists {
	if pool == 0 {
		return &t.lists
	}
	return (*lists)(sys.At(t.others.Base() + uintptr(pool-1)*poolStride))
}

// Split moves the objects that are of the same node as the first to the front, and returns the node and how many
// they are. Preconditions: there are objects, and all lie in the window.
func (t *Tier) Split(objects []uintptr) (node uint32, n int) {
	node = t.Pages.NodeAt(objects[0])
	for i, p := range objects {
		if t.Pages.NodeAt(p) == node {
			objects[i], objects[n] = objects[n], p
			n++
		}
	}
	return node, n
}

// add sums the counters of several pools.
func (s *Stats) add(k *Stats) {
	s.Spans += k.Spans
	s.Contended += k.Contended
	s.Free += k.Free
	s.Capacity += k.Capacity
	s.Fetched += k.Fetched
	s.Returned += k.Returned
	s.Reused += k.Reused
	s.Crossed += k.Crossed
}
