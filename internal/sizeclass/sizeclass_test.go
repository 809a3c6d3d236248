package sizeclass

import (
	"testing"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/units"
)

// each calls f for every real class.
func each(f func(c units.ClassID, d *Class)) {
	for c := units.ClassID(1); c < NumClasses; c++ {
		f(c, Of(c))
	}
}

func TestTableMeetsItsConstraints(t *testing.T) {
	if n := NumClasses - 1; n < 80 || n > 90 {
		t.Errorf("%d classes, want 80..90", n)
	}
	if *Of(0) != (Class{}) {
		t.Error("class 0 is not empty")
	}
	if Size(1) != 8 || Size(2) != 16 || Size(NumClasses-1) != units.MaxSmall {
		t.Error("the table does not begin with 8, 16 and end with MaxSmall")
	}
	prev := uint32(0)
	each(func(c units.ClassID, d *Class) {
		span := uint32(d.Pages) * units.PageSize
		tail := span - uint32(d.Objects)*d.Size
		for _, check := range []struct {
			ok   bool
			what string
		}{
			{d.Size > prev, "sizes increase strictly"},
			{d.Size == 8 || d.Size%16 == 0, "multiple of 16"},
			{d.Size <= 1024 || d.Size%128 == 0, "multiple of 128 above 1 KiB"},
			{prev < 128 || d.Size*5 <= prev*6, "at most 20 % above the neighbour"},
			{d.Pages >= 1 && d.Pages <= 32, "1..32 pages"},
			{d.Objects >= 1 && uint32(d.Objects) == span/d.Size, "the span is full"},
			{tail*16 <= span, "tail of at most 1/16"},
			{d.Size < 32 || d.Objects <= 256, "at most 256 objects from 32 bytes on"},
			{d.Size >= 32 || d.Pages == 1, "one page for 8 and 16 bytes"},
			{d.Size > 1024 || d.Pages == 1, "one page up to 1 KiB"},
			{d.Objects <= 16 || d.Pages == 1, "one page if more than 16 objects"},
			{uint32(d.Batch) == min(max(64<<10/d.Size, 2), 32), "batch"},
			{c > LastOnePage || d.Pages == 1, "one page up to LastOnePage"},
			{c != LastOnePage+1 || d.Pages > 1, "LastOnePage is the last"},
		} {
			if !check.ok {
				t.Errorf("class %d %+v: violated: %s", c, *d, check.what)
			}
		}
		if Size(c) != units.Bytes(d.Size) || Pages(c) != units.Pages(d.Pages) ||
			Objects(c) != uint32(d.Objects) || Batch(c) != uint32(d.Batch) {
			t.Errorf("class %d: accessors disagree with %+v", c, *d)
		}
		prev = d.Size
	})
	for p := units.Bytes(16); p <= units.MaxSmall; p *= 2 {
		c := ForMalloc(p)
		if Size(c) != p {
			t.Errorf("%d is not a class", p)
		}
		if p >= units.PageSize && (Objects(c) != 1 || units.Bytes(Pages(c))*units.PageSize != p) {
			t.Errorf("%d does not fill its pages alone", p)
		}
	}
}

func TestLayoutIsWhatAssemblyExpects(t *testing.T) {
	var d Class
	got := [...]uintptr{unsafe.Sizeof(d), unsafe.Offsetof(d.Size), unsafe.Offsetof(d.Recip), unsafe.Offsetof(d.DivMul),
		unsafe.Offsetof(d.DivMax), unsafe.Offsetof(d.Objects), unsafe.Offsetof(d.Pages), unsafe.Offsetof(d.Batch)}
	if want := [...]uintptr{20, 0, 4, 8, 12, 16, 18, 19}; got != want {
		t.Errorf("size and offsets of Class are %v, want %v", got, want)
	}
	if Descriptions() != &classes || Lookup() != &lookup {
		t.Error("the exported tables are copies")
	}
}

// model is the class of a request by linear search: the smallest of at least least bytes whose size is
// a multiple of align.
func model(size, align, least units.Bytes) units.ClassID {
	for c := units.ClassID(1); c < NumClasses; c++ {
		if s := Size(c); s >= size && s >= least && s%align == 0 {
			return c
		}
	}
	return 0
}

func TestEverySizeGetsTheSmallestClassAndBoundedWaste(t *testing.T) {
	for size := units.Bytes(0); size <= units.MaxSmall+300; size++ {
		c := ForMalloc(size)
		if want := model(size, 16, 16); c != want {
			t.Fatalf("ForMalloc(%d) = %d, want %d", size, c, want)
		}
		n := ForNew(size)
		if want := model(size, 8, 8); size > 0 && n != want {
			t.Fatalf("ForNew(%d) = %d, want %d", size, n, want)
		}
		if size == 0 || size > units.MaxSmall {
			continue
		}
		if waste := Size(n) - size; waste > max(15, size/5) {
			t.Fatalf("operator new of %d wastes %d bytes", size, waste)
		}
		if waste := Size(c) - size; waste > max(15, size/5) {
			t.Fatalf("malloc of %d wastes %d bytes", size, waste)
		}
	}
	if Size(ForMalloc(0)) != 16 || Size(ForNew(0)) != 16 {
		t.Error("requests of no bytes do not get 16")
	}
	for _, size := range []units.Bytes{1 << 20, 1 << 32, 1<<63 + 5, ^units.Bytes(0)} {
		if ForMalloc(size) != 0 || ForNew(size) != 0 || ForAligned(size, 64) != 0 {
			t.Errorf("%#x has a class", size)
		}
	}
}

func TestClassesAreDistinguishable(t *testing.T) {
	each(func(c units.ClassID, d *Class) {
		if got := ForNew(units.Bytes(d.Size)); got != c {
			t.Errorf("ForNew(Size(%d)) = %d", c, got)
		}
		if got := ForMalloc(units.Bytes(d.Size)); got != c && c != 1 {
			t.Errorf("ForMalloc(Size(%d)) = %d", c, got)
		}
	})
}

func TestAlignedRequestsGetTheSmallestAlignedClass(t *testing.T) {
	worst := map[units.Bytes]float64{}
	for align := units.Bytes(1); align <= units.PageSize; align *= 2 {
		for size := units.Bytes(0); size <= units.MaxSmall+64; size++ {
			c := ForAligned(size, align)
			var want units.ClassID
			if size <= units.MaxSmall { // the model, by a shorter walk
				want = ForMalloc(size)
				for Size(want)%align != 0 {
					want++
				}
			}
			if c != want {
				t.Fatalf("ForAligned(%d, %d) = %d, want %d", size, align, c, want)
			}
			if c == 0 {
				continue
			}
			// What is lost beyond rounding to the alignment itself, which the caller asked for.
			grain := max(align, 16)
			rounded := max((size+grain-1)&^(grain-1), grain)
			waste := Size(c) - rounded
			worst[align] = max(worst[align], float64(waste)/float64(rounded))
			if waste > rounded/2 || align <= 64 && waste > rounded*3/10 {
				t.Fatalf("ForAligned(%d, %d) is %d bytes", size, align, Size(c))
			}
		}
	}
	t.Logf("largest loss beyond rounding to the alignment, by alignment: %.3v", worst)
	if ForAligned(16, 2*units.PageSize) != 0 || ForAligned(0, 1<<63) != 0 {
		t.Error("an alignment above the page has a class")
	}
}

func TestIndexAndDividesAreExactOnEveryOffset(t *testing.T) {
	each(func(c units.ClassID, d *Class) {
		span := units.Bytes(d.Pages) * units.PageSize
		for off := units.Bytes(0); off < span; off++ {
			index := off / units.Bytes(d.Size)
			if got := Index(c, off); got != uint32(index) {
				t.Fatalf("Index(%d, %d) = %d, want %d", c, off, got, index)
			}
			start := off == index*units.Bytes(d.Size) && index < units.Bytes(d.Objects)
			if Divides(c, off) != start {
				t.Fatalf("Divides(%d, %d) = %t", c, off, !start)
			}
		}
	})
}

func TestNothingAllocates(t *testing.T) {
	var sink units.ClassID
	if n := testing.AllocsPerRun(100, func() {
		sink = ForMalloc(Size(sink)+100) + ForAligned(200, 64) + units.ClassID(Of(3).Batch)
		sink %= NumClasses
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzLookup compares every entry point with a linear search.
func FuzzLookup(f *testing.F) {
	f.Add(uint64(0), uint8(0))
	f.Add(uint64(1025), uint8(64+6))
	f.Add(uint64(units.MaxSmall), uint8(13))
	f.Add(^uint64(0), uint8(63))
	f.Fuzz(func(t *testing.T, s uint64, shift uint8) {
		size, align := units.Bytes(s), units.Bytes(1)<<(shift%64)
		if shift&64 != 0 {
			size %= units.MaxSmall + 4096 // so that half of the inputs are small requests
		}
		if got, want := ForMalloc(size), model(size, 16, 16); got != want {
			t.Errorf("ForMalloc(%d) = %d, want %d", size, got, want)
		}
		if got, want := ForNew(size), model(max(size, 1), 8, 8); got != want && size != 0 {
			t.Errorf("ForNew(%d) = %d, want %d", size, got, want)
		}
		want := units.ClassID(0)
		if align <= units.PageSize {
			want = model(size, align, 16)
		}
		if got := ForAligned(size, align); got != want {
			t.Errorf("ForAligned(%d, %d) = %d, want %d", size, align, got, want)
		}
		if c := ForNew(size); c != 0 && !Divides(c, 0) {
			t.Errorf("class %d: no object at the start of the span", c)
		}
	})
}

func BenchmarkForMalloc(b *testing.B) {
	var sink units.ClassID
	size := units.Bytes(24)
	for b.Loop() {
		sink += ForMalloc(size)
		size = (size*5 + 1) & 4095
	}
	_ = sink
}

func TestClassesAboveSoleAboveHaveOneObjectASpan(t *testing.T) {
	for c := ForMalloc(SoleAbove + 1); c < NumClasses; c++ {
		if Objects(c) != 1 {
			t.Errorf("class %d has %d objects", c, Objects(c))
		}
	}
	if Objects(ForMalloc(SoleAbove)) == 1 {
		t.Error("the bound could be lower")
	}
}
