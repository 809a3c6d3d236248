package cdoor

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
	"github.com/vcmalloc/vcmalloc/percpu"
)

// Params is what the C side knows of the process; cgo/vcm.h has the same struct.
type Params struct {
	Fast, Table, Empty uintptr
	VCPU, Pop, Push    uintptr // the restartable sequences
	PopN, End, Swap    uintptr
	Envp               uintptr
	Secure             uintptr
	Seed               uint64
	Rseq               int64 // offset of the thread's registered struct rseq
	HasRseq, HasMMCID  uintptr
	SlotVCPU, SlotCPU  int64   // offsets within struct rseq: mm_cid, cpu_id
	Unregistered       int64   // offset of a struct rseq that says its thread is not registered
	Replaced           uintptr // the program has its own operator new or delete
	CPU, Turn          uintptr // functions: percpu.Sequences says which
	Slabs              uintptr // the answer: how many slabs there may be
}

// state is the door's own: where the C side's block is, and what the configuration said.
type state struct {
	fast    uintptr
	checked bool
	derived bool    // derived operators have a fast path
	from    uintptr // heap bytes that want a background thread; ^0 for never
	config  config.Config
}

var door state

func pages() *pageheap.Heap { return &heap.Process.Front.Transfer.Central.Pages }

// Boot makes the process's heap ready: once, by one thread, before any other function here. It returns 1,
// or 0 when the system has no memory for it.
//
//go:noinline
func Boot(params uintptr) uintptr {
	p := (*Params)(sys.At(params))
	c := config.Default()
	c.Parse(p.Envp, p.Secure != 0)
	door.fast, door.config = p.Fast, c
	door.checked = c.Check != config.CheckDefault
	door.from = c.BackgroundFrom
	door.derived = p.Replaced == 0
	f := fastAt(p.Fast)
	if c.StatsDir != 0 {
		door.from = 0 // the block is to be renewed however small the heap is
	}
	if !c.Background {
		f.Flags |= NoThread
		door.from = ^uintptr(0)
	}
	if c.StatsAtExit {
		f.Flags |= StatsAtExit
	}
	o := heap.Options{Config: c, Seed: p.Seed}
	useRseq := p.HasRseq != 0 && c.VCPU != config.VCPULock
	o.PerCPU = percpu.Options{Table: p.Table, Empty: p.Empty, Sequences: percpu.Sequences{CPU: p.CPU, Turn: p.Turn}}
	if useRseq {
		o.PerCPU.Sequences = percpu.Sequences{VCPU: p.VCPU, Pop: p.Pop, Push: p.Push, PopN: p.PopN, End: p.End, Swap: p.Swap, CPU: p.CPU, Turn: p.Turn}
	}
	field := p.SlotVCPU
	if p.HasMMCID == 0 || c.VCPU == config.VCPUCPU || c.VCPU == config.VCPUAuto && !fences() {
		field, o.PerCPU.Exact = p.SlotCPU, true
	}
	if !heap.Process.Init(&o) {
		return 0
	}
	f.fill()
	p.Slabs = uintptr(heap.Process.Front.VCPUs())
	area := p.Unregistered
	if useRseq {
		area = p.Rseq
	}
	f.VCPU, f.Rseq = area+field, area
	f.locks()
	if !door.checked {
		// These open the fast path, for other threads at this very moment.
		atomic.StoreUintptr(&f.Fine, sizeclass.FineMax+1)
		atomic.StoreUintptr(&f.Small, units.MaxSmall+1)
		if p.Replaced == 0 {
			atomic.StoreUintptr(&f.FineDerived, sizeclass.FineMax+1)
			atomic.StoreUintptr(&f.SmallDerived, units.MaxSmall+1)
		}
	}
	refresh()
	if c.StatsDir != 0 {
		heap.Process.Publish(sys.Now())
	}
	return 1
}

// fences reports whether the kernel says that membarrier fences restartable sequences. Where it does not, a vCPU is
// better the CPU's number: then a slab can be taken from it by going there (percpu/visit.go).
func fences() bool {
	commands, e := sys.Membarrier(sys.MembarrierQuery, 0, 0)
	return e == 0 && commands&sys.MembarrierPrivateRseq != 0
}

// refresh lets the fast path see what the window has grown to, and asks for the background thread when the
// heap has outgrown small tools.
func refresh() {
	f := fastAt(door.fast)
	grown := pages().Grown()
	if grown == atomic.LoadUintptr(&f.Limit) || door.checked {
		return
	}
	atomic.StoreUintptr(&f.Limit, grown)
	if door.derived {
		atomic.StoreUintptr(&f.LimitDerived, grown)
	}
	if grown >= door.from && atomic.LoadUint32(&f.Wanted) == 0 {
		atomic.StoreUint32(&f.Wanted, WantThread)
	}
}
