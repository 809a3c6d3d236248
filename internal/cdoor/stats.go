package cdoor

import (
	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// Kinds of statistics.
const (
	StatsNumbers = iota
	StatsText
	StatsXML
)

// StatsRequest is what the C side asks for; cgo/vcm.h has the same struct. All sizes in bytes.
type StatsRequest struct {
	Kind            uintptr
	Buf, Len        uintptr // memory for text
	Mapped          uintptr // of the heap's window
	Used            uintptr // in the application's hands
	Large           uintptr // of that: objects of whole pages
	LargeObjects    uintptr
	Cached          uintptr // free objects in caches and spans
	CachedPerCPU    uintptr // of that: per CPU
	PageHeapFree    uintptr // free pages that have memory
	Released        uintptr // free pages that have none
	Slack, Meta     uintptr
	Side            uintptr
	PerCPUPopulated uintptr
}

// Stats fills the request at address req and returns the length of the text.
//
//go:noinline
func Stats(req uintptr) uintptr {
	r := (*StatsRequest)(sys.At(req))
	t := sys.NewText(r.Buf, r.Len)
	switch r.Kind {
	case StatsText:
		heap.Process.Report(&t)
	case StatsXML:
		heap.Process.ReportXML(&t)
	default:
		numbers(r)
	}
	return t.Len()
}

func numbers(r *StatsRequest) {
	var s heap.Stats
	heap.Process.Stats(&s)
	r.Mapped = s.Mapped
	r.Used = s.Used + s.Large
	r.Large, r.LargeObjects = s.Large, uintptr(s.LargeObjects)
	r.CachedPerCPU = s.PerCPU
	r.Cached = s.PerCPU + s.Transfer + s.Central
	r.PageHeapFree = s.FillerFree + s.Cache
	r.Released = s.FillerReleased + s.Unbacked
	r.Slack, r.Meta, r.Side = s.Slack, s.Meta, s.Side
	r.PerCPUPopulated = uintptr(s.Populated)
}
