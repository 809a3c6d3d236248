package centralfreelist

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/vm"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// Each NUMA node that has a page heap of its own has lists of its own, which hold that heap's spans only. The lists
// of the home heap, number 0, lie in the Tier, the others in metadata memory.

type lists [sizeclass.NumClasses]list

const nodeStride = (unsafe.Sizeof(lists{}) + 4095) &^ 4095

// AddNode makes lists for page heap i, which is to be made next. It reports false when the system has no memory.
func (t *Tier) AddNode(i uint32) bool {
	if t.others.Base() == 0 {
		var table vm.Table
		if !t.Pages.NewEmptyTable(&table, (pageheap.MaxNodes-1)*nodeStride) {
			return false
		}
		t.others = table
	}
	return t.Pages.MapMetadata(t.others.Base()+uintptr(i-1)*nodeStride, nodeStride)
}

// on is the lists of a node. Preconditions: it is 0, or AddNode made them.
func (t *Tier) on(node uint32) *lists {
	if node == 0 {
		return &t.lists
	}
	return (*lists)(sys.At(t.others.Base() + uintptr(node-1)*nodeStride))
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

// add sums the counters of several nodes' lists.
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
