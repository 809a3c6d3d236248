package span

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

func TestEveryObjectIsHandedOutOnceBetweenPushes(t *testing.T) {
	eachClass(t, func(t *testing.T, c units.ClassID) {
		r := rand.New(rand.NewPCG(uint64(c), 1))
		m := newModel(t, c)
		m.checkCounts()
		m.checkFree()
		for range 3 {
			for !m.s.Full() {
				m.pop(1 + r.IntN(40))
			}
			m.pop(5) // nothing is left
			m.checkFree()
			m.pushAll(r)
			m.checkFree()
		}
		if m.fresh != 0 {
			t.Errorf("%d objects were never handed out", m.fresh)
		}
	})
}

func TestSpanAgreesWithTheModel(t *testing.T) {
	eachClass(t, func(t *testing.T, c units.ClassID) {
		r := rand.New(rand.NewPCG(uint64(c), 2))
		ops := make([]byte, 400)
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		run(t, c, ops)
	})
}

// run interprets ops, two bytes each.
func run(t *testing.T, c units.ClassID, ops []byte) {
	m := newModel(t, c)
	for k := 0; k+1 < len(ops); k += 2 {
		arg := int(ops[k+1])
		i := arg * len(m.live) / 256
		switch p := m.object(i); ops[k] % 8 {
		case 0, 1:
			m.pop(arg % 48)
		case 2, 3, 4:
			for n := arg % 40; n >= 0 && len(m.out) > 0; n-- {
				m.push((arg*31 + n*7) % len(m.out))
			}
		case 5:
			if !m.live[i] && (!tiny(c) || !m.used[i]) {
				m.refuse(p, "not handed out")
			}
		case 6:
			m.refuse(p+1+uintptr(arg*7)%(m.size-1), "interior")
		case 7:
			if m.s.IsFree(m.base, p) == m.live[i] {
				t.Fatalf("object %d: free %v", i, m.live[i])
			}
		}
	}
	m.checkFree()
}

func FuzzSpan(f *testing.F) {
	f.Add(byte(1), []byte{0, 40, 2, 7, 0, 40, 3, 39, 7, 1, 5, 2, 6, 3})
	f.Add(byte(2), []byte{0, 47, 2, 39, 0, 20, 2, 9, 0, 47, 5, 255})
	f.Add(byte(3), []byte{0, 47, 5, 0, 6, 200, 2, 3})
	f.Add(byte(87), []byte{0, 47, 5, 0, 6, 200, 2, 3, 5, 0})
	f.Fuzz(func(t *testing.T, c byte, ops []byte) {
		run(t, units.ClassID(c%(sizeclass.NumClasses-1)+1), ops[:min(len(ops), 2000)])
	})
}

func TestPushRefusesWhatIsNoObject(t *testing.T) {
	eachClass(t, func(t *testing.T, c units.ClassID) {
		m := newModel(t, c)
		m.pop(len(m.live))
		end := uintptr(sizeclass.Pages(c)) << units.PageShift
		step := uintptr(1)
		if end > units.PageSize {
			step = 8 // misaligned ones are covered by the classes of one page
		}
		for off := uintptr(1); off < end; off += step {
			if off%m.size != 0 {
				m.refuse(m.base+off, "interior")
			} else if off/m.size >= uintptr(len(m.live)) {
				m.refuse(m.base+off, "behind the last object")
			}
		}
	})
}

func TestPushRefusesWhatIsNotHandedOut(t *testing.T) {
	eachClass(t, func(t *testing.T, c units.ClassID) {
		m := newModel(t, c)
		for i := range m.live {
			m.refuse(m.object(i), "of an empty span")
		}
		m.pop(len(m.live)/2 + 1)
		for i, used := range m.used {
			if !used {
				m.refuse(m.object(i), "never handed out")
			}
		}
		if tiny(c) {
			return // the index list does not see a second push
		}
		r := rand.New(rand.NewPCG(uint64(c), 3))
		for len(m.out) > 0 {
			k := r.IntN(len(m.out))
			p := m.object(m.out[k])
			m.push(k)
			m.refuse(p, "pushed before")
		}
		m.checkFree()
	})
}

func TestBitmapPopsTheLowestAddressesFromTheColorOnFirst(t *testing.T) {
	eachClass(t, func(t *testing.T, c units.ClassID) {
		if tiny(c) {
			t.Skip("index list")
		}
		r := rand.New(rand.NewPCG(uint64(c), 4))
		m := newModel(t, c)
		m.pop(len(m.live))
		for range len(m.live)/2 + 1 {
			m.push(r.IntN(len(m.out)))
		}
		color := int(m.s.color)
		next := func() int {
			if i := slices.Index(m.live[color:], false); i >= 0 {
				return color + i
			}
			return slices.Index(m.live, false)
		}
		for free := next(); free >= 0; free = next() {
			before := len(m.out)
			m.pop(1)
			if got := m.out[before]; got != free {
				t.Fatalf("object %d, though %d is free", got, free)
			}
		}
	})
}

// Of the spans on 33 pages in a row, those of a class begin with as many objects as lie within colorBytes.
func TestSpansBeginAtDifferentOffsets(t *testing.T) {
	eachClass(t, func(t *testing.T, c units.ClassID) {
		base, first := memory(t, c), map[uintptr]bool{}
		for page := range units.PageID(33) {
			var s Span
			var out [1]uintptr
			s.Init(page, sizeclass.Pages(c), c)
			s.Pop(base, out[:], 1)
			if off := out[0] - base; off > colorBytes {
				t.Fatalf("offset %d", off)
			}
			first[out[0]] = true
			if s.HandedOut() != 1 {
				t.Fatalf("%d handed out", s.HandedOut())
			}
		}
		want := 1
		if !tiny(c) {
			want += colorBytes / int(sizeclass.Size(c))
		}
		if len(first) != want {
			t.Errorf("%d offsets, want %d", len(first), want)
		}
	})
}

func TestFreshObjectsAreNotTouched(t *testing.T) {
	eachClass(t, func(t *testing.T, c units.ClassID) {
		base, n := memory(t, c), uintptr(sizeclass.Pages(c))<<units.PageShift
		allow(t, base, n, sys.ProtNone)
		var s Span
		s.Init(0, sizeclass.Pages(c), c)
		out := make([]uintptr, sizeclass.Objects(c))
		if s.IsFree(base, base); s.Pop(base, out, len(out)) != len(out) || !s.Full() {
			t.Error("not all came")
		}
		if !tiny(c) { // a bitmap needs no memory of the objects at all
			for i := len(out) - 1; i >= 0; i-- {
				if n, _ := s.Push(base, out[i:i+1]); n != 1 {
					t.Fatal("refused")
				}
			}
		}
	})
}

// The front end's mark lies in the first word of freed objects.
func TestIndexListLeavesTheFirstWordOf16Bytes(t *testing.T) {
	const c = 2
	if sizeclass.Size(c) != 16 {
		t.Fatal("class 2 has other objects")
	}
	r := rand.New(rand.NewPCG(1, 5))
	m := newModel(t, c)
	m.pop(len(m.live))
	for i := range m.live {
		sys.Store64(m.object(i)+8, ^uint64(0)) // what the program left there means nothing
	}
	m.pushAll(r)
	for i := range m.live {
		if p := m.object(i); sys.Load64(p) != marked(p) {
			t.Fatalf("object %d: the mark is gone", i)
		}
	}
	m.checkFree()
	m.pop(len(m.live))
}

func TestLargeSpanIsOneObject(t *testing.T) {
	s := Span{Allocated: 3, Flags: 1, Next: 9}
	s.Init(7, 1<<20, 0)
	if want := (Span{First: 7, Pages: 1 << 20}); s != want {
		t.Errorf("%+v", s)
	}
}

func TestInitForgetsTheSpanBefore(t *testing.T) {
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		var fresh, used Span
		fresh.Init(5, sizeclass.Pages(c), c)
		used.Init(1, sizeclass.Pages(1), 1)
		used.Pop(memory(t, 1), make([]uintptr, 9), 9)
		used.Next, used.Prev, used.List, used.Flags = 1, 2, 3, FlagAligned
		used.Init(5, sizeclass.Pages(c), c)
		if used != fresh {
			t.Errorf("class %d: %+v, want %+v", c, used, fresh)
		}
	}
}
