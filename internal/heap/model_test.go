package heap

import (
	"fmt"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// defectOf is check's answer: what is wrong with the accounting, or "".
func defectOf(h *Heap, held units.Bytes) string {
	var s Stats
	h.Stats(&s)
	if s.Mapped != s.Accounted() {
		return fmt.Sprintf("mapped %d, accounted %d: %+v", s.Mapped, s.Accounted(), s)
	}
	if s.Used+s.Large != held {
		return fmt.Sprintf("used %d and large %d, held %d", s.Used, s.Large, held)
	}
	return h.pages().Check()
}

// model drives a heap with operations of three bytes and knows what lives there. It is single threaded; with
// the gate shut it stands for the other threads.
type model struct {
	t     testing.TB
	h     *Heap
	live  []object2
	by    map[uintptr]bool
	held  units.Bytes // usable bytes of the objects outside the side region
	bytes units.Bytes // asked for
	clock int64
	forks int
	steps int
	ops   [16]int
}

// object2 is an object as the model knows it.
type object2 struct {
	p     uintptr
	size  units.Bytes
	align units.Bytes // asked for; 0: none
	key   uint64
	hint  pageheap.Hint
}

// modelMax bounds what a model holds, in bytes.
const modelMax = 192 << 20

func newModel(t testing.TB, o Options) *model {
	return &model{t: t, h: newHeap(t, o), by: map[uintptr]bool{}}
}

func (m *model) size(a, b byte) units.Bytes {
	v := units.Bytes(b)
	switch a % 8 {
	case 0, 1, 2, 3:
		return v * (units.Bytes(a)/8 + 1) % 1100
	case 4, 5:
		return v << 5
	case 6:
		return v << 11
	}
	return v << (8 + a/32) // up to 8 MiB
}

func (m *model) step(op, a, b byte) {
	m.t.Helper()
	m.steps++
	k := int(op) % 16
	m.ops[k]++
	switch k {
	case 0, 1, 2:
		m.malloc(m.size(a, b), 0)
	case 3:
		m.hinted(m.size(a, b), units.Bytes(1)<<(a%13), pageheap.Hint(b)%pageheap.Hints)
	case 4:
		m.malloc(m.size(a, b), units.Bytes(16)<<(b%12))
	case 5, 6, 7, 8:
		m.free(int(a)<<8|int(b), k)
	case 9, 10:
		m.realloc(int(a)<<8|int(b), m.size(b, a))
	case 11:
		m.nested(a, b)
	case 12:
		if a%2 == 0 && (m.forks == 0 || m.forks == 1 && b < 8) { // a second one waits 20 ms for the first
			m.h.ForkBegin(0)
			m.forks++
		} else if m.forks > 0 {
			m.h.ForkParent()
			m.forks--
		}
	case 13:
		m.clock += int64(a) << 26
		m.h.Background(m.clock)
	case 14:
		if a%16 == 0 {
			m.h.Trim()
		}
	case 15:
		for i := range min(len(m.live), 8) {
			m.verify(&m.live[(int(a)+i)%len(m.live)])
		}
	}
}

// add takes a new object in. It must not overlap with another, which the patterns tell.
func (m *model) add(p uintptr, size, align units.Bytes) {
	m.t.Helper()
	if p == 0 {
		m.t.Fatalf("step %d: no memory for %d bytes", m.steps, size)
	}
	if a := max(align, 16); p%a != 0 {
		m.t.Fatalf("step %d: %#x is not aligned to %d", m.steps, p, a)
	}
	if m.by[p] {
		m.t.Fatalf("step %d: %#x was handed out twice", m.steps, p)
	}
	usable := m.h.Usable(p)
	if usable < size {
		m.t.Fatalf("step %d: %d usable bytes of %d", m.steps, usable, size)
	}
	if m.forks > 0 && !m.h.side.contains(p) {
		m.t.Fatalf("step %d: the heap was used during a fork", m.steps)
	}
	o := object2{p: p, size: size, align: align, key: uint64(m.steps)}
	fill(p, size, o.key)
	m.by[p] = true
	m.live = append(m.live, o)
	m.bytes += size
	if !m.h.side.contains(p) {
		m.held += usable
	}
}

func (m *model) drop(i int) object2 {
	o := m.live[i]
	m.verify(&o)
	delete(m.by, o.p)
	m.live[i] = m.live[len(m.live)-1]
	m.live = m.live[:len(m.live)-1]
	m.bytes -= o.size
	if !m.h.side.contains(o.p) {
		m.held -= m.h.Usable(o.p)
	}
	return o
}

func (m *model) verify(o *object2) {
	m.t.Helper()
	if i := intact(o.p, o.size, o.size, o.key); i >= 0 {
		m.t.Fatalf("step %d: byte %d of the %d at %#x has changed", m.steps, i, o.size, o.p)
	}
	if got := m.h.Hint(o.p); got != o.hint {
		m.t.Fatalf("step %d: the %d bytes at %#x have hint %d, not %d", m.steps, o.size, o.p, got, o.hint)
	}
}

func (m *model) malloc(size, align units.Bytes) {
	if m.bytes+size > modelMax {
		return
	}
	if align == 0 {
		m.add(m.h.Malloc(size), size, 0)
	} else {
		m.add(m.h.Aligned(size, align), size, align)
	}
}

// hinted allocates with a hint. That objects bear what was said of them, which is noted at their span, proves that
// those of different hints share none; that memory called zero is zero is read.
func (m *model) hinted(size, align units.Bytes, hint pageheap.Hint) {
	if m.bytes+size > modelMax {
		return
	}
	p, zeroed := m.h.Hinted(size, align, hint)
	for i := units.Bytes(0); zeroed && i < size; i += 512 {
		if bytesAt(p, size)[i] != 0 {
			m.t.Fatalf("step %d: byte %d of %d called zero is not", m.steps, i, size)
		}
	}
	m.add(p, size, align)
	m.bear(hint)
}

// bear notes the hint of the object that came last. The side region knows none.
func (m *model) bear(hint pageheap.Hint) {
	if m.h.side.contains(m.live[len(m.live)-1].p) {
		hint = pageheap.HintNone
	}
	m.live[len(m.live)-1].hint = hint
}

func (m *model) free(v, k int) {
	if len(m.live) == 0 {
		return
	}
	i := v % len(m.live)
	if k == 8 {
		i = len(m.live) - 1
	}
	o := m.drop(i)
	if k == 7 {
		m.h.FreeSized(o.p, o.size, o.align, false, CallFreeSized)
	} else {
		m.h.Free(o.p, CallFree)
	}
}

func (m *model) realloc(v int, size units.Bytes) {
	if len(m.live) == 0 || m.bytes+size > modelMax {
		return
	}
	o := m.drop(v % len(m.live))
	if m.h.side.contains(o.p) {
		o.hint = pageheap.HintNone
	}
	q := m.h.Realloc(o.p, size, CallRealloc)
	if q == 0 {
		m.t.Fatalf("step %d: realloc(%d bytes, %d) failed", m.steps, o.size, size)
	}
	if i := intact(q, min(o.size, size), o.size, o.key); i >= 0 {
		m.t.Fatalf("step %d: realloc(%d bytes, %d) changed byte %d", m.steps, o.size, size, i)
	}
	forks := m.forks
	if q == o.p {
		m.forks = 0 // in place: nothing of the heap was touched
	}
	m.add(q, size, 0)
	m.forks = forks
	m.bear(o.hint)
}

// nested is what a signal handler does.
func (m *model) nested(a, b byte) {
	if a%2 == 0 {
		size := m.size(a, b)
		if m.bytes+size <= modelMax {
			p := m.h.NestedMalloc(size, units.Bytes(1)<<(b%10))
			if !m.h.side.contains(p) {
				m.t.Fatalf("step %d: a handler used the heap", m.steps)
			}
			m.add(p, size, units.Bytes(1)<<(b%10))
		}
		return
	}
	if len(m.live) > 0 {
		m.h.NestedFree(m.drop(int(b)%len(m.live)).p, CallFree)
	}
}

// check compares the counters with the model, if no fork is under way.
func (m *model) check() {
	m.t.Helper()
	if m.forks == 0 {
		if defect := defectOf(m.h, m.held); defect != "" {
			m.t.Fatalf("step %d: %s", m.steps, defect)
		}
		checkVCPUs(m.t, m.h)
	}
}

// finish frees everything and checks that nothing stays behind.
func (m *model) finish() {
	m.t.Helper()
	for ; m.forks > 0; m.forks-- {
		m.h.ForkParent()
	}
	m.check()
	for len(m.live) > 0 {
		m.h.Free(m.drop(len(m.live)-1).p, CallFree)
	}
	m.check()
	m.h.Trim()
	m.check()
	var s Stats
	m.h.Stats(&s)
	if s.Mapped != s.Unbacked || s.PerCPU+s.Transfer+s.Central+s.Slack != 0 || s.UsedObjects+s.LargeObjects != 0 {
		m.t.Fatalf("something is left: %+v", s)
	}
	if s.Side > maxChunks*8+chunkSize {
		m.t.Fatalf("%d bytes of the side region are left", s.Side)
	}
}

func TestRandomOperationsAgreeWithTheModel(t *testing.T) {
	legacy := []config.Features{0, config.PerCPUResize | config.NUCA | config.SpanPriority | config.LifetimeFiller}
	for i := range 4 {
		t.Run("", func(t *testing.T) {
			r := coretest.Rand(t)
			m := newModel(t, Options{Config: config.Config{Legacy: legacy[i%2]}, PerCPU: percpuOf(uintptr(1 + i))})
			for range coretest.Long(15000) {
				x := r.Uint32()
				m.step(byte(x), byte(x>>8), byte(x>>16))
				if m.steps%256 == 0 {
					m.check()
				}
			}
			m.finish()
			t.Logf("operations: %v", m.ops)
		})
	}
}

func FuzzHeap(f *testing.F) {
	f.Add([]byte{0, 1, 100, 0, 7, 200, 9, 0, 1, 5, 0, 0})
	f.Add([]byte{12, 0, 0, 0, 1, 50, 11, 0, 60, 5, 0, 0, 11, 1, 0, 12, 1, 0, 0, 1, 2})
	f.Add([]byte("three bytes an operation, decoded by model.step: sizes, aligned ones, frees, forks"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 3000 {
			return
		}
		m := newModel(t, Options{Seed: 1})
		for ; len(ops) >= 3; ops = ops[3:] {
			m.step(ops[0], ops[1], ops[2])
			if m.steps%16 == 0 {
				m.check()
			}
		}
		m.finish()
	})
}

// sizesOfInterest are both sides of every boundary: of size classes, of small and large, of pages.
func sizesOfInterest() (sizes []units.Bytes) {
	sizes = append(sizes, 0, 1, 2, 7)
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		s := sizeclass.Size(c)
		sizes = append(sizes, s-1, s, s+1)
	}
	for _, s := range []units.Bytes{300 << 10, 1 << 20, units.HugePageSize, 3 * units.HugePageSize / 2, 2 * units.HugePageSize, 5 << 20} {
		sizes = append(sizes, s-1, s, s+1, s+units.PageSize)
	}
	return sizes
}
