package cdoor

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// Fast is the block of memory that the assembly fast paths read. cgo/fast.h has the offsets; a test compares
// them. It lies in the library's data, zero until Boot: Fine, Small and Limit then send every call
// to the slow path.
type Fast struct {
	Base    uintptr // of the window
	Limit   uintptr // bytes of the window handed out; 0 sends every free to the slow path
	Classes uintptr // page map: class by page
	SpanIDs uintptr // page map: span id by page
	Spans   uintptr // span table
	Rseq    int64   // offset of the thread's struct rseq from its thread pointer
	VCPU    int64   // offset of the field that tells the vCPU
	Wanted  uint32  // bits of work for the C side, see Want…
	Flags   uint32  // of the configuration

	// Fine and Small are one more than the sizes that the lookup table's fine slots and the size classes end
	// with. 0 sends every allocation to the slow path.
	Fine, Small uintptr

	// The same three bounds for the operators new and delete that, in a program which replaces the plain
	// ones, have to call those: they stay 0 there.
	FineDerived, SmallDerived, LimitDerived uintptr
	Mark                                    uint64  // of free objects
	Locks                                   uintptr // percpu.Cache.Locks
	_                                       [8]byte

	// LongStarts are sizeclass.Class's DivMul and DivMax + 1 by class: does an object start at this offset?
	// Starts are the same for classes with spans of one page, and for the others a bound that nothing is below.
	Starts, LongStarts [96][2]uint32
	Sizes              [96]uint32 // bytes by class
	Lookup             [sizeclass.TableLen + 7]uint8
}

// Bits of Fast.Wanted and Fast.Flags.
const (
	WantThread  = 1 // the heap is large enough for a background thread
	StatsAtExit = 1
	NoThread    = 2
)

const _ = uint(96 - sizeclass.NumClasses)

// fill copies the tables. It opens no path.
func (f *Fast) fill() {
	d := sizeclass.Descriptions()
	for c := range d {
		if c == 0 {
			continue
		}
		f.LongStarts[c][0], f.LongStarts[c][1] = d[c].DivMul, d[c].DivMax+1
		if d[c].Pages == 1 {
			f.Starts[c] = f.LongStarts[c]
		}
		f.Sizes[c] = d[c].Size
	}
	f.Mark = heap.Process.Mark()
	var a pageheap.Addresses
	pages().Addresses(&a)
	f.Base, f.Classes, f.SpanIDs, f.Spans = a.Base, a.Classes, a.SpanIDs, a.Spans
	t := sizeclass.Lookup()
	for i := range t {
		f.Lookup[i] = t[i]
	}
}

// locks lets threads that no restartable sequence serves take a slab by its lock.
func (f *Fast) locks() {
	atomic.StoreUintptr(&f.Locks, heap.Process.Front.Locks())
}

func fastAt(a uintptr) *Fast { return (*Fast)(sys.At(a)) }
