package centralfreelist

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// Not every crossing could have been spared. A domain that has been handed n objects more of a class than its own CPUs
// had freed until then, new ones not counted, was handed at least n that others had freed, and would have been by
// any allocator that made as few new ones for it. So where there are several domains each keeps a balance for each class,
// whose lowest point is how many had to cross. It is a bound for however much memory is kept: what one domain freed and
// another took, because memory was to be reused, the first may lack later.

// row is what a domain has of a class: spans, under the list's lock, and the balance, which is atomic.
type row struct {
	shelf
	balance int64 // objects that it freed, less those that it was handed which somebody had freed
	low     int64 // least of that; 0 at first
}

const (
	// rowStride is a cache line: rows of different classes are under different locks.
	rowStride = 64
	rowsSize  = sizeclass.NumClasses * rowStride // of one domain and node
)

const _ = uint(rowStride - unsafe.Sizeof(row{}))

// Divide begins the balances of n domains and, if apart, has spans stand apart by domain from now on. It reports false
// when there is no memory for that. To be called once.
func (t *Tier) Divide(n uint32, apart bool) bool {
	n = min(n, MaxDomains)
	if !t.Pages.NewMappedTable(&t.rows, pageheap.MaxNodes*uintptr(n)*rowsSize) {
		return false
	}
	if apart {
		atomic.StoreUint32(&t.domains, n)
	}
	atomic.StoreUint32(&t.counted, n)
	return true
}

// row is that of the domain with index d. Preconditions: d < counted, and pool is a node's.
func (t *Tier) row(pool uint32, c units.ClassID, d uint32) *row {
	n := atomic.LoadUint32(&t.counted)
	at := (uintptr(pool*n+d)*sizeclass.NumClasses + uintptr(c)) * rowStride
	return (*row)(sys.At(t.rows.Base() + at))
}

// NoteFreed enters n objects of class c, of a node's memory, that a domain freed.
func (t *Tier) NoteFreed(node uint32, c units.ClassID, domain uint32, n int) {
	if k := atomic.LoadUint32(&t.counted); k != 0 && domain != 0 {
		atomic.AddInt64(&t.row(node, c, (domain-1)%k).balance, int64(n))
	}
}

// NoteReused enters n objects that were handed to a domain and that some known domain had freed. Those of hinted pools
// do not count.
func (t *Tier) NoteReused(node uint32, c units.ClassID, domain uint32, n int) {
	k := atomic.LoadUint32(&t.counted)
	if k == 0 || domain == 0 || n == 0 || node >= pageheap.MaxNodes {
		return
	}
	r := t.row(node, c, (domain-1)%k)
	now := atomic.AddInt64(&r.balance, -int64(n))
	for low := atomic.LoadInt64(&r.low); now < low; low = atomic.LoadInt64(&r.low) {
		if atomic.CompareAndSwapInt64(&r.low, low, now) {
			return
		}
	}
}

// forced is how many objects of class c had to cross.
func (t *Tier) forced(c units.ClassID) (sum uint64) {
	for node := range t.Pages.Nodes() {
		for d := uint32(0); d < atomic.LoadUint32(&t.counted); d++ {
			sum += uint64(-atomic.LoadInt64(&t.row(node, c, d).low))
		}
	}
	return sum
}
