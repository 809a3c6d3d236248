package heap

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Aside is what a front door keeps of free objects in caches of its own, to which they are the application's as long
// as nobody says otherwise. The statistics count those of size classes as cached per CPU, and larger ones, which are whole
// pages, as in the cache of hugepages.
type Aside struct {
	Objects      [sizeclass.NumClasses]uint32
	LargeObjects uint64
	Large        units.Bytes
}

// SetAside says what there is; it replaces what was said before. It may be called at any time.
func (h *Heap) SetAside(a *Aside) {
	for c := range a.Objects {
		atomic.StoreUint32(&h.aside.Objects[c], a.Objects[c])
	}
	atomic.StoreUint64(&h.aside.LargeObjects, a.LargeObjects)
	atomic.StoreUintptr(&h.aside.Large, a.Large)
}

// setAside moves large objects that are aside from the application's to the caches'. The classes' are counted by class.
func (h *Heap) setAside(s *Stats) {
	n := min(atomic.LoadUintptr(&h.aside.Large), s.Large)
	s.Large -= n
	s.Cache += n
	s.LargeObjects -= min(atomic.LoadUint64(&h.aside.LargeObjects), s.LargeObjects)
}
