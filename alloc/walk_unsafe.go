//go:build !race

package alloc

import "unsafe"

// The assembly of fast_amd64.s finds the number of its P as procPin does: g -> m -> p -> id. Where the runtime keeps
// these three is its own affair, so they are held at the start against what must be right: the machine code of
// procPin, which is nothing but this walk and a count between. Where that is not, to the byte, what is expected (another
// version of Go, another compiler, a build without optimisation), Malloc and Free are those of portable.go.
//
// They are constants because reading them from memory costs all that is gained: a pair of 64 bytes takes 9.7 ns with
// variables in their place, 7.4 with constants, 5.7 with a P's number for nothing (Zen 4, interleaved minima).

// As of Go 1.26: offsets in bytes.
const (
	walkM  = 0x30 // of g.m
	walkP  = 0xd0 // of m.p
	walkID = 0    // of p.id
)

// procPinCode is what procPin has to be, but for where it counts.
var procPinCode = [...]struct{ code, mask byte }{
	{0x49, 0xff}, {0x8b, 0xff}, {0x4e, 0xff}, {walkM, 0xff}, // MOVQ walkM(R14), CX
	{0xff, 0xff}, {0x81, 0xff}, {}, {}, {}, {}, // INCL locks(CX)
	{0x48, 0xff}, {0x8b, 0xff}, {0x89, 0xff}, {walkP, 0xff}, {0, 0xff}, {0, 0xff}, {0, 0xff}, // MOVQ walkP(CX), CX
	{0x48, 0xff}, {0x63, 0xff}, {0x01, 0xff}, // MOVLQSX (CX), AX
	{0xc3, 0xff}, // RET
}

// procPinIs is what procPin is.
func procPinIs() *[len(procPinCode)]byte {
	f := procPin // a function value points to a word that holds the code's address
	return (*[len(procPinCode)]byte)(**(**unsafe.Pointer)(unsafe.Pointer(&f)))
}

// walkHolds reports whether the constants are right for the runtime that this program has.
func walkHolds() bool {
	code := procPinIs()
	for i, want := range procPinCode {
		if code[i]&want.mask != want.code {
			return false
		}
	}
	v := procPin()
	same := procNumber() == uintptr(v)
	procUnpin()
	return same
}
