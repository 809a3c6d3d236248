package sys

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

const lineMax = len(Line{}.buf) - 1 // the newline takes the last byte

func (l *Line) text() string { return string(l.buf[:l.n]) }

var numbers = []uintptr{0, 1, 9, 10, 15, 16, 255, 256, 1<<32 - 1, 1 << 32, 1 << 60, math.MaxInt64, math.MaxUint64, math.MaxUint64 - 1}

func TestLineWritesNumbersAsFmtDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		numbers := append(numbers, uintptr(r.Uint64()>>r.IntN(64)))
		n := numbers[r.IntN(len(numbers))]
		var l Line
		if got, want := l.Hex(n).Str(" ").Dec(n).text(), fmt.Sprintf("%#x %d", n, n); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}

func TestLineDropsWhatDoesNotFit(t *testing.T) {
	for _, n := range []int{0, 1, lineMax - 1, lineMax, lineMax + 1, 10 * lineMax} {
		var l Line
		long := strings.Repeat("x", n)
		l.Str(long).Bytes([]byte("end")).Hex(1).Dec(2)
		if got, want := l.text(), (long + "end0x12"); got != want[:min(len(want), lineMax)] {
			t.Errorf("after %d bytes: %q", n, got)
		}
	}
}

func TestLineFlushWritesOneLineAndEmpties(t *testing.T) {
	var l Line
	got := captureStderr(t, func() {
		l.Str("first").Flush()
		l.Str(strings.Repeat("x", 1000)).Flush()
		l.Flush()
	})
	if want := "first\n" + strings.Repeat("x", lineMax) + "\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLineCStrStopsAtNULAndReadsNoByteBehind(t *testing.T) {
	a, size := pages(t, 1)
	text := "a\tb\nc\x1bd\x7fe\x80\xff~ "
	at := a + size - uintptr(len(text)) - 1 // its NUL is the last byte that can be read
	store(at, text)
	var l Line
	if got, want := l.CStr(at, 1<<30).text(), "a?b?c?d?e\x80\xff~ "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	l = Line{}
	if got := l.CStr(at, 2).text(); got != "a?" {
		t.Errorf("at most two bytes: %q", got)
	}
	store(a+size-3, "xyz") // without a NUL
	l = Line{}
	if got := l.CStr(a+size-3, 3).text(); got != "xyz" {
		t.Errorf("without NUL: %q", got)
	}
	l = Line{}
	if got := l.CStr(a, 5).CStr(a, 0).text(); got != "" {
		t.Errorf("empty: %q", got)
	}
}

func TestTextAlignsAsFmtDoes(t *testing.T) {
	a, size := pages(t, 1)
	for _, n := range numbers {
		for _, width := range []int{-1, 0, 1, 5, 20, 30} {
			x := NewText(a, size)
			x.Str("|").Dec(uint64(n), width).Str("|")
			if got, want := loadText(a, x.Len()), fmt.Sprintf("|%*d|", max(width, 0), n); got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
	for _, c := range []struct {
		bytes uint64
		want  string
	}{
		{0, "     0.0"}, {1 << 20, "     1.0"}, {3 << 19, "     1.5"}, {104858, "     0.1"}, {52428, "     0.0"},
		{52429, "     0.1"}, {1<<20 - 1, "     1.0"}, {1 << 40, "1048576.0"},
	} {
		x := NewText(a, size)
		if x.MiB(c.bytes, 8); loadText(a, x.Len()) != c.want {
			t.Errorf("%d bytes: %q, want %q", c.bytes, loadText(a, x.Len()), c.want)
		}
	}
}

func TestTextWritesNothingBeyondItsMemory(t *testing.T) {
	a, size := pages(t, 1)
	for n := range uintptr(12) {
		x := NewText(a+size-n, n) // the byte behind faults
		x.Str("hello ").Dec(12345, 0)
		if got := loadText(a+size-n, x.Len()); got != "hello 12345"[:min(n, 11)] {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
}

func TestTextCStrCopiesUpToTheNUL(t *testing.T) {
	a, size := pages(t, 1)
	store(a+size-4, "abc")
	for most, want := range []string{"", "a", "ab", "abc", "abc", "abc"} {
		x := NewText(a, 100)
		if x.CStr(a+size-4, most); loadText(a, x.Len()) != want {
			t.Errorf("at most %d: %q, want %q", most, loadText(a, x.Len()), want)
		}
	}
}

func loadText(a, n uintptr) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = Byte(a + uintptr(i))
	}
	return string(b)
}

func FuzzLine(f *testing.F) {
	f.Add("", uint64(0))
	f.Add("vcmalloc: free(", uint64(1)<<47)
	f.Add(strings.Repeat("long ", 90), uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, s string, n uint64) {
		var l Line
		got := l.Str(s).Hex(uintptr(n)).Bytes([]byte(s)).Dec(uintptr(n)).text()
		want := fmt.Sprintf("%s%#x%s%d", s, n, s, n)
		if want = want[:min(len(want), lineMax)]; got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}
