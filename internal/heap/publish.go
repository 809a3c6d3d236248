package heap

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/centralfreelist"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
	"github.com/vcmalloc/vcmalloc/pageheap"
	"github.com/vcmalloc/vcmalloc/percpu"
	"github.com/vcmalloc/vcmalloc/telemetry/block"
	"github.com/vcmalloc/vcmalloc/transfer"
)

const blockBytes = (unsafe.Sizeof(block.Block{}) + 4095) &^ 4095

// publisher keeps the statistics block in a file of its own, so that other processes can read it.
type publisher struct {
	table vm.Table
	open  bool // the file is there and mapped
	// The folder, NUL-terminated. A copy: programs that set their title (setproctitle: redis, nginx, PostgreSQL) write
	// over the environment.
	dir [maxDir]byte
}

// maxDir leaves room in a path of 512 bytes for the file's name: "/vcmalloc.", 20 digits and NUL.
const maxDir = 480

// publishTo chooses an address for the block and makes the file. A directory that can't be written, or whose name is too
// long, costs a line, and nothing is published.
func (h *Heap) publishTo(dir uintptr) bool {
	if dir == 0 {
		return true
	}
	if !h.pages().NewEmptyTable(&h.published.table, blockBytes) {
		return false
	}
	for i := range h.published.dir {
		h.published.dir[i] = sys.Byte(dir + uintptr(i))
		if h.published.dir[i] == 0 {
			h.openBlock()
			return true
		}
	}
	unpublished(dir, sys.ENAMETOOLONG)
	return true
}

func unpublished(name uintptr, e sys.Errno) {
	var l sys.Line
	l.Str("vcmalloc: VCMALLOC_STATS_DIR: can't make ").CStr(name, 200).Str(" (error ").Dec(uintptr(e)).
		Str("): no statistics are published; name a directory this process may write").Flush()
}

// blockPath writes the path of this process's file to buf.
func (h *Heap) blockPath(buf *[512]byte) {
	t := sys.NewText(uintptr(unsafe.Pointer(buf)), uintptr(len(buf)))
	t.CStr(uintptr(unsafe.Pointer(&h.published.dir)), maxDir).Str("/vcmalloc.").Dec(uint64(sys.Getpid()), 0).Str("\x00")
}

// openBlock makes this process's file and maps it in the place of whatever was mapped for the block: in a
// fork's child that is the parent's file.
func (h *Heap) openBlock() {
	h.published.open = false
	var path [512]byte
	h.blockPath(&path)
	name := uintptr(unsafe.Pointer(&path))
	sys.Unlink(name) // a dead process had the same id
	fd, e := sys.Create(name)
	if e == 0 {
		// Blocks, not a hole: a full file system must show now, not as a bus error when the block is written.
		e = sys.Allocate(fd, blockBytes)
		if e == 0 {
			_, e = sys.MmapFile(h.published.table.Base(), blockBytes, fd)
		}
		sys.Close(fd)
	}
	if e != 0 {
		sys.Unlink(name)
		unpublished(name, e)
		return
	}
	b := h.block()
	*b = block.Block{}
	b.Magic, b.Version, b.Bytes = block.Magic, block.Version, uint32(unsafe.Sizeof(*b))
	b.PID = uint64(sys.Getpid())
	b.Started = sys.Now()
	h.published.open = true
}

func (h *Heap) block() *block.Block { return (*block.Block)(sys.At(h.published.table.Base())) }

// Unpublish writes the block a last time, for those who have the file open, and removes the file: at a normal end
// nobody else wants it any more.
func (h *Heap) Unpublish() {
	h.Publish(sys.Now())
	if h.published.open {
		var path [512]byte
		h.blockPath(&path)
		sys.Unlink(uintptr(unsafe.Pointer(&path)))
	}
}

// publish writes the block. Preconditions: the caller is inside, and the only one to publish.
func (h *Heap) publish(now int64) {
	if !h.published.open {
		return
	}
	if h.block().PID != uint64(sys.Getpid()) { // a raw fork, past the handlers: that file is the parent's
		h.openBlock()
		if !h.published.open {
			return
		}
	}
	b := h.block()
	atomic.AddUint64(&b.Sequence, 1)
	b.Updated = now
	h.publishTotals(&b.Total)
	b.Classes = sizeclass.NumClasses
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		h.publishClass(c, &b.Class[c%block.MaxClasses])
		h.publishReturns(c, &b.Return[c%block.MaxClasses])
	}
	b.VCPUs = uint32(min(h.Front.VCPUs(), block.MaxVCPUs))
	for v := units.VCPU(0); v < units.VCPU(b.VCPUs) && v < block.MaxVCPUs; v++ {
		var k percpu.Stats
		h.Front.Stats(v, &k)
		if k.Capacity != 0 {
			b.PerCPU[v] = block.VCPU{SlabBytes: uint64(k.SlabBytes), Used: uint64(k.Used), Capacity: uint64(k.Capacity),
				Available: uint64(k.Available), Underflows: k.Underflows, Overflows: k.Overflow, Drains: uint64(k.Drains),
				Steals: k.Steals, Resizes: k.Resizes}
		}
	}
	b.Domains = uint32(h.Front.Transfer.Domains())
	for d := range min(int(b.Domains), block.MaxDomains) {
		var k transfer.DomainStats
		h.Front.Transfer.Domain(d, &k)
		to := &b.Domain[d%block.MaxDomains]
		*to = block.Domain{CPUs: k.CPUs, Bytes: uint64(k.Bytes), Hits: k.Hits, Misses: k.Misses}
		if k.Open {
			to.Open = 1
		}
	}
	h.publishNodes(b)
	atomic.AddUint64(&b.Sequence, 1)
}

func (h *Heap) publishNodes(b *block.Block) {
	b.Nodes = h.Front.Transfer.Nodes()
	if b.Nodes < 2 {
		return // the totals tell all
	}
	for i := range min(b.Nodes, block.MaxNodes) {
		h.publishNode(i, &b.Node[i%block.MaxNodes])
	}
}

func (h *Heap) publishNode(i uint32, to *block.Node) {
	var k transfer.NodeStats
	h.Front.Transfer.NodeStats(i, &k)
	to.Kernel, to.CPUs, to.Near, to.Far, to.Home = k.Kernel, k.CPUs, k.Near, k.Far, k.Home
	h.publishNodePages(i, to)
}

// publishNodePages is the rest of publishNode, so that the two structs are not on the stack at once.
func (h *Heap) publishNodePages(i uint32, to *block.Node) {
	var p pageheap.Stats
	h.pages().Node(i).NodeStats(&p)
	to.Mapped, to.Spans, to.SpansAllocated = uint64(p.Mapped), uint64(p.Small+p.Large), p.SpansAllocated
	to.Free, to.Empty = uint64(p.FillerFree+p.RegionFree+p.Cache), uint64(p.FillerReleased+p.Unbacked)
}

func (h *Heap) publishTotals(t *block.Totals) {
	var s Stats
	h.stats(&s)
	t.Mapped, t.Used, t.Large, t.Slack = uint64(s.Mapped), uint64(s.Used), uint64(s.Large), uint64(s.Slack)
	t.PerCPU, t.Transfer, t.Central = uint64(s.PerCPU), uint64(s.Transfer), uint64(s.Central)
	t.FillerFree, t.FillerReleased = uint64(s.FillerFree), uint64(s.FillerReleased)
	t.Cache, t.Unbacked = uint64(s.Cache), uint64(s.Unbacked)
	t.Meta, t.Side = uint64(s.Meta), uint64(s.Side)
	t.UsedObjects, t.LargeObjects = s.UsedObjects, s.LargeObjects
	t.SpansAllocated, t.SpansFreed = s.Pages.SpansAllocated, s.Pages.SpansFreed
	t.HugeGrown, t.Released, t.MadviseFailures = s.Pages.HugeGrown, s.Pages.Released, s.Pages.MadviseFailures
	t.FillerUsed, t.RegionUsed, t.RegionFree = uint64(s.Pages.FillerUsed), uint64(s.Pages.RegionUsed), uint64(s.Pages.RegionFree)
	t.Collapsed, t.SoftHits, t.HardRefusals = s.Pages.Collapsed, s.Pages.SoftHits, s.Pages.HardRefusals
	t.Underflows, t.Overflows = s.Underflows, s.Overflows
	t.Reused, t.Crossed, t.Forced, t.Carried = s.Reused, s.Crossed, s.Forced, s.Carried
	t.Hinted = uint64(s.Pages.Short + s.Pages.Long + s.Pages.Cold)
}

func (h *Heap) publishClass(c units.ClassID, to *block.Class) {
	var k ClassStats
	h.class(c, &k)
	to.Size, to.Pages = uint32(sizeclass.Size(c)), uint32(sizeclass.Pages(c))
	to.Used, to.PerCPU, to.Transfer, to.Free = uint64(k.Used), k.PerCPU, k.Transfer.Used, uint64(k.Central.Free)
	to.TransferCapacity, to.Spans = k.Transfer.Capacity, k.Central.Spans
	to.Fetched, to.Returned = k.Central.Fetched, k.Central.Returned
	to.TransferHits, to.TransferMisses = k.Transfer.Hits, k.Transfer.Misses
	to.CentralContended, to.XferContend = k.Central.Contended, k.Transfer.Contended
	to.Reused, to.Crossed = k.Transfer.Reused+k.Central.Reused, k.Transfer.Crossed+k.Central.Crossed
}

func (h *Heap) publishReturns(c units.ClassID, to *block.Returns) {
	var k centralfreelist.Returns
	h.Front.Transfer.Central.Returns(c, &k)
	to.Seen, to.Gone = k.Seen, k.Gone
}
