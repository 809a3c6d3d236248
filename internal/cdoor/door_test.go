package cdoor

import (
	"encoding/xml"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

var children = map[string]func(){
	"fast block":        childFastBlock,
	"checked":           childChecked,
	"replaced":          childReplaced,
	"flags":             childFlags,
	"sequences":         childSequences,
	"sizes":             childSizes,
	"threads":           childThreads,
	"statistics":        childStatistics,
	"fork":              childFork,
	"nested":            childNested,
	"misuse reported":   childMisuseReported,
	"double free":       func() { defaultAbort(); boot(nil); doubleFree() },
	"double free check": func() { defaultAbort(); boot(nil, "VCMALLOC_CHECK=1"); doubleFree() },
}

func TestDoor(t *testing.T) {
	for name := range children {
		if strings.HasPrefix(name, "double free") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			text, status := runChild(t, name)
			if status != 0 {
				t.Errorf("status %#x\n%s", status, text)
			}
			if name == "misuse reported" {
				text = strings.TrimPrefix(text, "vcmalloc: free(")
				if strings.Count(text, "\n") != 1 || !strings.Contains(text, ": double free: ") {
					t.Errorf("printed %q", text)
				}
			} else if text != "" {
				t.Errorf("printed %q", text)
			}
		})
	}
}

func TestDoubleFreeEndsInOneLineAndAbort(t *testing.T) {
	for _, name := range []string{"double free", "double free check"} {
		text, status := runChild(t, name)
		if !status.Signaled() || status.Signal() != syscall.SIGABRT {
			t.Errorf("%s: status %#x, want death by SIGABRT", name, status)
		}
		if !strings.HasPrefix(text, "vcmalloc: free(0x") || strings.Count(text, "\n") != 1 || !strings.Contains(text, "double free") {
			t.Errorf("%s: printed %q", name, text)
		}
	}
}

// defaultAbort undoes the Go runtime's handler of SIGABRT.
func defaultAbort() {
	act := mapped(64)
	_, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGABRT), act, 0, 8, 0, 0)
	must(e == 0, "sigaction: %v", e)
}

func doubleFree() {
	p := Malloc(100, 0)
	Free(p, uintptr(heap.CallFree))
	Free(p, uintptr(heap.CallFree))
}

func childMisuseReported() {
	boot(nil, "VCMALLOC_CHECK=report")
	doubleFree()
	must(Malloc(100, 0) != Malloc(100, 0), "one object twice")
}

func childFastBlock() {
	f := boot(nil)
	p := Malloc(5000, 0)
	must(f.Fine == sizeclass.FineMax+1 && f.Small == units.MaxSmall+1, "bounds %d, %d", f.Fine, f.Small)
	must(f.FineDerived == f.Fine && f.SmallDerived == f.Small && f.LimitDerived == f.Limit, "derived operators differ")
	must(f.Limit > 0 && f.Limit == pages().Grown() && p-f.Base < f.Limit, "limit %#x, %#x at base %#x", f.Limit, p, f.Base)
	must(f.Rseq == testUnregistered && f.VCPU == testUnregistered+testCPU, "without sequences threads must look unregistered: %d, %d", f.Rseq, f.VCPU)
	must(f.Flags == 0, "flags %d", f.Flags)
	for c, k := range sizeclass.Descriptions() {
		starts := [2]uint32{k.DivMul, k.DivMax + 1}
		if c == 0 {
			starts = [2]uint32{}
		}
		must(f.LongStarts[c] == starts && f.Sizes[c] == k.Size, "class %d", c)
		if k.Pages > 1 {
			starts = [2]uint32{} // the bound 0: no offset is below
		}
		must(f.Starts[c] == starts, "class %d", c)
	}
	for i, c := range sizeclass.Lookup() {
		must(f.Lookup[i] == c, "slot %d", i)
	}
	// What the assembly does to find a pointer's class and span.
	page := (p - f.Base) >> units.PageShift
	must(sys.Byte(f.Classes+page) == uint8(sizeclass.ForMalloc(5000)), "class %d", sys.Byte(f.Classes+page))
	id := uintptr(*(*uint32)(sys.At(f.SpanIDs + page*4)))
	first := uintptr(*(*uint32)(sys.At(f.Spans + id<<6)))
	must(id != 0 && first <= page && (p-f.Base-first<<units.PageShift)%sizeclass.Size(sizeclass.ForMalloc(5000)) == 0, "span %d begins at page %d", id, first)
	for range 300 {
		Malloc(1<<20, 0)
		must(f.Limit == pages().Grown() && f.LimitDerived == f.Limit, "the block does not follow the window")
	}
}

func childChecked() {
	f := boot(nil, "VCMALLOC_CHECK=1")
	for range 100 {
		Malloc(1<<20, 0)
	}
	must(f.Fine|f.Small|f.Limit|f.FineDerived|f.SmallDerived|f.LimitDerived == 0, "a fast path is open: %+v", f.Limit)
}

func childReplaced() {
	f := boot(func(p *Params) { p.Replaced = 1 })
	Malloc(1<<20, 0)
	must(f.Fine != 0 && f.Small != 0 && f.Limit != 0, "the fast path is closed")
	must(f.FineDerived|f.SmallDerived|f.LimitDerived == 0, "operators that must call the program's have a fast path")
}

func childFlags() {
	f := boot(nil, "VCMALLOC_BACKGROUND=0", "VCMALLOC_STATS=exit", "VCMALLOC_BACKGROUND_FROM=0")
	Malloc(1<<20, 0)
	must(f.Flags == NoThread|StatsAtExit && f.Wanted == 0, "flags %d, wanted %d", f.Flags, f.Wanted)
}

// With sequences the block tells where the thread's vCPU stands, unless the user wants locks.
func childSequences() {
	f := boot(func(p *Params) { p.HasRseq, p.HasMMCID = 1, 1 }, "VCMALLOC_VCPU=lock", "VCMALLOC_BACKGROUND_FROM=1m")
	must(f.Rseq == testUnregistered && f.VCPU == testUnregistered+testVCPU, "%d, %d", f.Rseq, f.VCPU)
	p := Malloc(2<<20, 0)
	must(p != 0 && f.Wanted == WantThread, "wanted %d with %d bytes", f.Wanted, f.Limit)
}

func childSizes() {
	boot(nil)
	var sizes []uintptr
	for n := uintptr(0); n < 2000; n++ {
		sizes = append(sizes, n)
	}
	for n := uintptr(2000); n < 2<<20; n += n/9 + 1 {
		sizes = append(sizes, n-1, n, n+1)
	}
	for _, n := range sizes {
		p := Malloc(n, 0)
		must(p != 0 && p%16 == 0 && Usable(p) >= n && Usable(p) == Good(n, 1), "%d bytes: %#x, usable %d, good %d", n, p, Usable(p), Good(n, 1))
		fill(p, n, byte(n))
		q := Malloc(n, FlagNew)
		must(q != 0 && Usable(q) >= n && (n == 0 || n > 8 || Usable(q) == 8) && (n <= 8 || q%16 == 0), "new of %d bytes: %#x", n, q)
		must(verify(p, n, byte(n)), "%d bytes changed", n)
		Free(p, uintptr(heap.CallFree))
		FreeSized(q, n, 0, uintptr(heap.CallDelete)|FlagExact)
		for align := uintptr(1); align <= 1<<23; align <<= 3 {
			p := Aligned(n, align, 0)
			must(p != 0 && p%align == 0 && Usable(p) >= n && Usable(p) == Good(n, align), "%d bytes aligned to %d: %#x, usable %d, good %d", n, align, p, Usable(p), Good(n, align))
			FreeSized(p, n, align, uintptr(heap.CallFreeAlignedSized))
		}
	}
	for n := uintptr(units.MaxSmall + 1); n < 8<<20; n *= 2 {
		p := Calloc(n, 0)
		must(verify(p, n, 0), "%d bytes are not zero", n)
		fill(p, n, 7)
		Free(p, uintptr(heap.CallFree))
		p = Calloc(n, 0)
		must(verify(p, n, 0), "%d bytes used before are not zero", n)
		Free(p, uintptr(heap.CallFree))
	}
	const most = 1 << 47
	for _, n := range []uintptr{most + 1, 1 << 62, ^uintptr(0)} {
		must(Malloc(n, 0) == 0 && Calloc(n, 0) == 0 && Aligned(n, 16, 0) == 0 && Good(n, 1) == 0, "%d bytes", n)
	}
	must(Aligned(1, 1<<62, 0) == 0 && Good(1, 1<<62) == 0, "an alignment beyond the address space")
	must(Usable(0) == 0 && Usable(^uintptr(0)) == 0 && Usable(mapped(4096)) == 0, "foreign pointers have no size")
	Free(0, 0)
}

func fill(p, n uintptr, b byte) {
	s := unsafe.Slice((*byte)(sys.At(p)), n)
	for i := range s {
		s[i] = b
	}
}

func verify(p, n uintptr, b byte) bool {
	for _, c := range unsafe.Slice((*byte)(sys.At(p)), n) {
		if c != b {
			return false
		}
	}
	return true
}

// Each thread fills its objects with a pattern and checks it before they are resized or freed; some are
// freed by the next thread.
func childThreads() {
	boot(nil)
	type object struct {
		p, n uintptr
		b    byte
	}
	var left [threads][]object
	parallel(func(thread int) {
		r := rand.New(rand.NewPCG(uint64(thread), 1))
		var mine []object
		for step := range 20_000 {
			n := r.Uint64() >> (48 + r.IntN(15))
			b := byte(step*7 + thread)
			if len(mine) == 0 || len(mine) < 300 && r.IntN(5) < 3 {
				p := Malloc(uintptr(n), 0)
				fill(p, uintptr(n), b)
				mine = append(mine, object{p, uintptr(n), b})
				continue
			}
			k := r.IntN(len(mine))
			o := mine[k]
			must(verify(o.p, o.n, o.b), "%d bytes at %#x changed", o.n, o.p)
			if r.IntN(3) == 0 {
				p := Realloc(o.p, uintptr(n), uintptr(heap.CallRealloc))
				must(p != 0 && verify(p, min(uintptr(n), o.n), o.b), "realloc from %d to %d lost contents", o.n, n)
				fill(p, uintptr(n), b)
				mine[k] = object{p, uintptr(n), b}
				continue
			}
			Free(o.p, uintptr(heap.CallFree))
			mine[k] = mine[len(mine)-1]
			mine = mine[:len(mine)-1]
		}
		left[thread] = mine
	})
	parallel(func(thread int) {
		for _, o := range left[(thread+1)%threads] {
			must(verify(o.p, o.n, o.b), "%d bytes at %#x changed", o.n, o.p)
			Free(o.p, uintptr(heap.CallFree))
		}
	})
	Background()
	balanced(0)
	must(Trim() > 0, "nothing was returned to the system")
	balanced(0)
}

// balanced checks that the numbers add up and that used bytes are in use.
func balanced(used uintptr) StatsRequest {
	r := (*StatsRequest)(sys.At(mapped(4096)))
	must(Stats(uintptr(unsafe.Pointer(r))) == 0, "numbers came with a text")
	must(r.Used == used, "%d bytes in use, want %d", r.Used, used)
	sum := r.Used + r.Cached + r.PageHeapFree + r.Released + r.Slack
	must(r.Mapped == sum, "mapped %d, parts %d: %+v", r.Mapped, sum, *r)
	must(r.Mapped == pages().Grown() && r.CachedPerCPU <= r.Cached && r.Large <= r.Used && r.Meta > 0, "%+v", *r)
	return *r
}

func childStatistics() {
	boot(nil)
	balanced(0)
	small, large := Malloc(100, 0), Malloc(3<<20, 0)
	size := Usable(small) + Usable(large)
	r := balanced(size)
	must(r.Large == Usable(large) && r.LargeObjects == 1 && r.PerCPUPopulated >= 1, "%+v", r)
	const room = 256 << 10
	q := (*StatsRequest)(sys.At(mapped(4096)))
	for _, kind := range []uintptr{StatsText, StatsXML} {
		*q = StatsRequest{Kind: kind, Buf: mapped(room), Len: room}
		n := Stats(uintptr(unsafe.Pointer(q)))
		must(n > 100 && n < room, "%d bytes of text", n)
		text := unsafe.String((*byte)(sys.At(q.Buf)), n)
		if kind == StatsXML {
			d := xml.NewDecoder(strings.NewReader(text))
			for {
				_, err := d.Token()
				if err == io.EOF {
					break
				}
				must(err == nil, "%v in\n%s", err, text)
			}
		} else {
			must(strings.HasSuffix(text, "\n") && strings.Contains(text, "in use"), "%s", text)
		}
		whole := strings.Clone(text)
		*q = StatsRequest{Kind: kind, Buf: mapped(4096), Len: 50}
		must(Stats(uintptr(unsafe.Pointer(q))) == 50 && verify(q.Buf+50, 4000, 0), "a short buffer overflowed")
		must(whole[:50] == unsafe.String((*byte)(sys.At(q.Buf)), 50), "a short buffer holds something else")
	}
	Free(small, 0)
	Free(large, 0)
	balanced(0)
}

// While a fork is under way everybody is served, from elsewhere; frees take effect afterwards.
func childFork() {
	boot(nil)
	for _, end := range []func(){ForkParent, func() { ForkChild(0) }} {
		p, old := Malloc(100, 0), Malloc(1<<20, 0)
		fill(p, 100, 1)
		used := Usable(p) + Usable(old)
		balanced(used)
		ForkBegin(0)
		q, large := Malloc(100, 0), Malloc(1<<20, 0)
		must(q != 0 && large != 0 && Usable(q) >= 100 && Usable(large) >= 1<<20 && q%16 == 0, "no memory during a fork")
		fill(q, 100, 2)
		fill(large, 1<<20, 3)
		moved := Realloc(p, 5000, uintptr(heap.CallRealloc))
		must(moved != 0 && verify(moved, 100, 1), "realloc during a fork lost contents")
		Free(old, 0)
		end()
		must(verify(q, 100, 2) && verify(large, 1<<20, 3) && verify(moved, 100, 1), "the fork's end changed objects")
		Free(q, 0)
		Free(large, 0)
		Free(moved, 0)
		Free(Malloc(100, 0), 0)
		balanced(0)
	}
}

// A signal handler that interrupted its thread inside the heap touches nothing that may be half done.
func childNested() {
	boot(nil)
	a, b, large := Malloc(100, 0), Malloc(100, 0), Malloc(1<<20, 0)
	fill(a, 100, 1)
	fill(b, 100, 2)
	p, z := Malloc(1000, FlagNested), Calloc(300<<10, FlagNested)
	w := Aligned(10, 4096, FlagNested)
	must(p != 0 && p%16 == 0 && w != 0 && w%4096 == 0 && verify(z, 300<<10, 0), "nested calls got nothing")
	fill(p, 1000, 3)
	q := Realloc(a, 5000, uintptr(heap.CallRealloc)|FlagNested)
	must(q != 0 && verify(q, 100, 1), "nested realloc lost contents")
	Free(b, uintptr(heap.CallFree)|FlagNested)
	FreeSized(large, 1<<20, 0, uintptr(heap.CallFreeSized)|FlagNested)
	for _, p := range []uintptr{p, z, w, q} {
		Free(p, uintptr(heap.CallFree)|FlagNested)
	}
	Free(Malloc(1<<20, 0), 0)
	Trim()
	balanced(0)
}
