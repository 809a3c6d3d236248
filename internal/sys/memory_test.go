package sys

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

func TestLoadReturnsWhatStoreWrote(t *testing.T) {
	a, size := pages(t, 1)
	for _, at := range []uintptr{a, a + 8, a + size - 8} {
		Store64(at, 0x8877665544332211)
		if Load64(at) != 0x8877665544332211 || atomic.LoadUint64(Word(at)) != Load64(at) || *(*uint64)(At(at)) != Load64(at) {
			t.Errorf("at %#x: %#x", at, Load64(at))
		}
		for i := range uintptr(8) {
			if Byte(at+i) != byte(0x11*(i+1)) {
				t.Errorf("byte %d is %#x", i, Byte(at+i))
			}
		}
	}
}

func TestCopyAndZeroAgreeWithSlices(t *testing.T) {
	a, size := pages(t, 2)
	want := make([]byte, size)
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		for range 16 {
			i := r.IntN(len(want))
			want[i] = byte(r.Uint32())
			*(*byte)(At(a + uintptr(i))) = want[i]
		}
		n := r.IntN(300)
		if r.IntN(8) == 0 {
			n = r.IntN(len(want) / 2)
		}
		from := r.IntN(len(want) - n + 1)
		to := min(max(from+r.IntN(400)-200, 0), len(want)-n) // mostly overlapping
		if r.IntN(4) == 0 {
			Zero(a+uintptr(to), uintptr(n))
			clear(want[to : to+n])
		} else {
			Copy(a+uintptr(to), a+uintptr(from), uintptr(n))
			copy(want[to:to+n], want[from:from+n])
		}
	}
	if loadText(a, size) != string(want) {
		t.Error("memory differs from the model")
	}
	Copy(a+size, a, 0) // no byte is touched
	Zero(a+size, 0)
}
