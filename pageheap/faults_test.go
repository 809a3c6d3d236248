package pageheap

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/internal/faults"
	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// The system refuses some or all calls of one kind, from a moment on: requests may fail then, but every structure
// and sum holds, objects keep their contents, and what fits is still served.
func TestEveryRefusalOfTheSystemIsSurvived(t *testing.T) {
	var all []faults.Fault
	for _, call := range []uint32{unix.SYS_MMAP, unix.SYS_MADVISE, unix.SYS_MPROTECT} {
		for _, e := range []unix.Errno{unix.ENOMEM, unix.EAGAIN, unix.EINVAL} {
			// All; by hugepages; by runs of 8; by single pages.
			for _, mask := range []uint32{0, 1 << 21, 1 << 22, 3 << 24, 1 << 13} {
				f := faults.Of(call, e)
				f.Mask = mask
				all = append(all, f)
			}
		}
	}
	failed, refused := 0, uint64(0)
	for i, f := range all {
		t.Run(f.String(), func(t *testing.T) {
			faults.OnDoomedThread(func() {
				r := rand.New(rand.NewPCG(uint64(i), 11))
				m := newModel(t, Options{Seed: r.Uint64(), LifetimeFiller: i%2 == 0})
				m.h.regions.patience = 600
				run := func(steps int) {
					for range steps {
						x := r.Uint32()
						m.step(byte(x), byte(x>>8), byte(x>>16))
						if m.steps%64 == 0 {
							m.check()
						}
					}
				}
				run(300)
				if err := f.Install(); err != nil {
					t.Skipf("no system call filter: %v", err)
				}
				m.faulty = true
				run(900)
				failed += m.failed
				var st Stats
				m.h.Stats(&st)
				refused += st.MadviseFailures
				m.h.SetLimits(st.Mapped/4, st.Mapped/2)
				run(300)
				m.h.SetLimits(0, 0)
				m.finish()
			})
		})
	}
	if failed == 0 || refused == 0 {
		t.Errorf("%d requests failed, the system refused %d releases: nothing was tested", failed, refused)
	}
}

// A table of the heap can't grow: the page map's, the trackers', or the spans'. Requests fail from then on that would
// need it to; what is freed serves again.
func TestEveryTableMayBeRefusedToGrow(t *testing.T) {
	for _, x := range []struct {
		name  string
		table func(h *Heap) (base, perPage uintptr)
		pages units.Pages // requests that wear the table out
	}{
		{"classes of pages", func(h *Heap) (uintptr, uintptr) { return h.pages.ClassTable(), 1 }, 64 * pagesOf},
		{"spans of pages", func(h *Heap) (uintptr, uintptr) { return h.pages.SpanTable(), 4 }, 64 * pagesOf},
		{"trackers", func(h *Heap) (uintptr, uintptr) {
			return h.filler.trackers.table.Base(), 1 << trackerShift / uintptr(pagesOf)
		}, 64 * pagesOf},
		{"spans", func(h *Heap) (uintptr, uintptr) {
			return uintptr(unsafe.Pointer(h.spans.At(0))), unsafe.Sizeof(span.Span{})
		}, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			faults.OnDoomedThread(func() {
				r := rand.New(rand.NewPCG(uint64(x.pages), 12))
				m := newModel(t, Options{Seed: r.Uint64(), LifetimeFiller: true})
				run := func() {
					for range 300 {
						v := r.Uint32()
						m.step(byte(v), byte(v>>8), byte(v>>16))
					}
					m.check()
				}
				run()
				base, perPage := x.table(m.h)
				if err := faults.Of(unix.SYS_MMAP, unix.ENOMEM).In(base, uintptr(m.h.space.MaxPages())*perPage).Install(); err != nil {
					t.Skipf("no system call filter: %v", err)
				}
				m.faulty = true
				var ids []units.SpanID
				for {
					id, _ := m.h.Alloc(x.pages, 0, 1)
					if id == 0 {
						break
					}
					ids = append(ids, id)
					if len(ids) > 1<<16 {
						t.Fatal("the table was not needed")
					}
				}
				checkHeap(t, m.h)
				m.h.FreeBatch(ids)
				if id, _ := m.h.Alloc(x.pages, 0, 1); id == 0 {
					if len(ids) > 0 { // the first one may have found the table worn out
						t.Error("what was freed does not serve again")
					}
				} else {
					m.h.Free(id)
				}
				run()
				m.finish()
			})
		})
	}
}
