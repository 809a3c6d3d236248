package rtfree

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// oneFunction is an image of one function, f, followed by morestack and a function g that returns.
func oneFunction(code ...byte) (*image, *function) {
	f := &function{name: "f", addr: 0, size: uint64(len(code))}
	more := &function{name: "runtime.morestack_noctxt.abi0", addr: f.size, size: 1}
	g := &function{name: "g", addr: f.size + 1, size: 1}
	img := &image{text: append(code, 0xc3, 0xc3), funcs: []*function{f, more, g}}
	return img, f
}

func TestStackChecksAreRecognised(t *testing.T) {
	for _, test := range []struct {
		name string
		code []byte
		kind Kind // of the only fault, or none
	}{
		{"none", []byte{0xc3}, ""},
		{"small", []byte{
			0x49, 0x3b, 0x66, 0x10, // cmp rsp, [r14+16]
			0x76, 0x01, // jbe more
			0xc3,
			0xe8, 0, 0, 0, 0, // more: call morestack
		}, ""},
		{"medium", []byte{
			0x4c, 0x8d, 0xa4, 0x24, 0, 0xff, 0xff, 0xff, // lea r12, [rsp-256]
			0x4d, 0x3b, 0x66, 0x10, // cmp r12, [r14+16]
			0x76, 0x01,
			0xc3,
			0xe8, 0, 0, 0, 0,
		}, ""},
		{"large", []byte{
			0x49, 0x89, 0xe4, // mov r12, rsp
			0x49, 0x81, 0xec, 0, 0x20, 0, 0, // sub r12, 8192
			0x72, 0x07, // jb more
			0x4d, 0x3b, 0x66, 0x10,
			0x76, 0x01,
			0xc3,
			0xe8, 0, 0, 0, 0,
		}, ""},
		{"g loaded first", []byte{
			0x64, 0x4c, 0x8b, 0x34, 0x25, 0xf8, 0xff, 0xff, 0xff, // mov r14, fs:[-8]
			0x49, 0x3b, 0x66, 0x10,
			0x76, 0x01,
			0xc3,
			0xe8, 0, 0, 0, 0,
		}, ""},
		{"stackguard1", []byte{
			0x49, 0x3b, 0x66, 0x18, // cmp rsp, [r14+24]
			0x76, 0x01,
			0xc3,
			0xc3,
		}, Prologue},
		{"leads elsewhere", []byte{
			0x49, 0x3b, 0x66, 0x10,
			0x76, 0x01,
			0xc3,
			0xe8, 1, 0, 0, 0, // call g
		}, Prologue},
		{"writes g", []byte{0x49, 0xc7, 0x46, 0x10, 0, 0, 0, 0, 0xc3}, FakeG}, // mov qword [r14+16], 0
		{"other thread-local", []byte{0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0xc3}, FakeG},
		{"unbalanced", []byte{0x50, 0xc3}, Stack},                                     // push rax; ret
		{"alloca", []byte{0x48, 0x29, 0xc4, 0xc3}, Stack},                             // sub rsp, rax
		{"two depths", []byte{0x85, 0xc0, 0x74, 0x01, 0x50, 0xc3}, Stack},             // test; jz +1; push; ret
		{"no end", []byte{0x90}, Undecodable},                                         // nop
		{"not code", []byte{0x06, 0xc3}, Undecodable},                                 // invalid in 64-bit mode
		{"frame pointer", []byte{0x55, 0x48, 0x89, 0xe5, 0x50, 0x50, 0xc9, 0xc3}, ""}, // push rbp; mov; push; push; leave; ret
	} {
		t.Run(test.name, func(t *testing.T) {
			img, fn := oneFunction(test.code...)
			flow := analyse(img, fn, func(*function) bool { return false })
			if test.kind == "" {
				require.Empty(t, flow.faults)
				return
			}
			require.NotEmpty(t, flow.faults)
			for _, f := range flow.faults[:1] {
				require.Equal(t, test.kind, f.kind, f.what)
			}
		})
	}
}

func TestDepthIsExactAtEachCall(t *testing.T) {
	img, fn := oneFunction(
		0x55,             // push rbp
		0x48, 0x89, 0xe5, // mov rbp, rsp
		0x48, 0x83, 0xec, 0x20, // sub rsp, 32
		0xe8, 0x0e, 0, 0, 0, // call g
		0x48, 0x83, 0xe4, 0xf0, // and rsp, -16
		0x48, 0x89, 0xec, // mov rsp, rbp
		0x5d,             // pop rbp
		0xe9, 1, 0, 0, 0, // jmp g
	)
	flow := analyse(img, fn, func(*function) bool { return false })
	require.Empty(t, flow.faults)
	require.Len(t, flow.calls, 2)
	require.Equal(t, 48, flow.calls[0].depth, "rbp, the frame, and the return address of g")
	require.Equal(t, 0, flow.calls[1].depth, "a tail call stands on nothing")
	require.Equal(t, 48, flow.frame, "realigned")
	for _, c := range flow.calls {
		require.Equal(t, "g", c.callee.name)
	}
}
