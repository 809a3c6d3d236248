package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/rtfree"
)

// place lays functions one after another.
func place(functions ...[]byte) *image {
	img := &image{byName: map[string]*function{}}
	for i, code := range functions {
		fn := &function{name: string(rune('f' + i)), addr: uint64(len(img.text)), size: uint64(len(code))}
		img.text = append(img.text, code...)
		img.funcs = append(img.funcs, fn)
		img.byName[fn.name] = fn
	}
	return img
}

const viaRSP, viaRBP = 7, 6

func TestRules(t *testing.T) {
	ret := []byte{0xc3}
	for _, test := range []struct {
		name string
		code []byte
		want []row
	}{
		{"no frame", []byte{0x31, 0xc0, 0xc3}, nil}, // xor eax, eax; ret
		{"frame", []byte{
			0x55,             // push rbp
			0x48, 0x89, 0xe5, // mov rbp, rsp
			0x48, 0x83, 0xec, 0x20, // sub rsp, 32
			0x48, 0x83, 0xc4, 0x20, // add rsp, 32
			0x5d, // pop rbp
			0xc3,
		}, []row{{1, rule{viaRSP, 16, 16, -1}}, {4, rule{viaRBP, 16, 16, -1}}, {13, entryRule}}},
		{"two returns", []byte{
			0x55, 0x48, 0x89, 0xe5,
			0x74, 0x02, // je +2
			0x5d, 0xc3,
			0xc9, 0xc3, // leave; ret
		}, []row{{1, rule{viaRSP, 16, 16, -1}}, {4, rule{viaRBP, 16, 16, -1}}, {7, entryRule}, {8, rule{viaRBP, 16, 16, -1}}, {9, entryRule}}},
		{"the stack pointer is rounded", []byte{
			0x55, 0x48, 0x89, 0xe5,
			0x48, 0x89, 0xe3, // mov rbx, rsp
			0x48, 0x83, 0xe4, 0xf0, // and rsp, -16
			0xff, 0xd0, // call rax
			0x48, 0x89, 0xdc, // mov rsp, rbx
			0x5d, 0xc3,
		}, []row{{1, rule{viaRSP, 16, 16, -1}}, {4, rule{viaRBP, 16, 16, -1}}, {17, entryRule}}},
		{"a stub that pushes its return address again", []byte{
			0x48, 0x8b, 0x04, 0x24, // mov rax, [rsp]
			0x48, 0x83, 0xec, 0x18, // sub rsp, 24
			0x48, 0x83, 0xe4, 0xf0, // and rsp, -16
			0x48, 0x89, 0x04, 0x24, // mov [rsp], rax
			0xcc,
		}, []row{{8, rule{viaRSP, 32, 0, -1}}, {12, rule{viaRSP, 8, 0, 0}}, {16, entryRule}}},
		{"RBP for another use", []byte{
			0x48, 0x83, 0xec, 0x10, // sub rsp, 16
			0x48, 0x89, 0x6c, 0x24, 0x08, // mov [rsp+8], rbp
			0x31, 0xed, // xor ebp, ebp
			0x48, 0x8b, 0x6c, 0x24, 0x08, // mov rbp, [rsp+8]
			0x48, 0x83, 0xc4, 0x10, 0xc3,
		}, []row{{4, rule{viaRSP, 24, 0, -1}}, {9, rule{viaRSP, 24, 16, -1}}, {16, rule{viaRSP, 24, 0, -1}}, {20, entryRule}}},
		{"AVX", []byte{
			0xc5, 0xfe, 0x6f, 0x06, // vmovdqu ymm0, [rsi]
			0xc5, 0xfe, 0x6f, 0x4c, 0x0e, 0xe0, // vmovdqu ymm1, [rsi+rcx-32]
			0xc4, 0xe3, 0xfd, 0x00, 0xc0, 0x4e, // vpermq ymm0, ymm0, 0x4e
			0xc5, 0xfd, 0xd7, 0xd6, // vpmovmskb edx, ymm6
			0xc5, 0xf8, 0x77, // vzeroupper
			0xc3,
		}, nil},
		{"dead code after a call that does not return", []byte{
			0x55, 0x48, 0x89, 0xe5,
			0xe8, 1, 0, 0, 0, // call g
			0x90,
		}, []row{{1, rule{viaRSP, 16, 16, -1}}, {4, rule{viaRBP, 16, 16, -1}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			img := place(test.code, ret)
			w := &walker{img: img, stub: img.byName["g"]}
			f, err := w.analyse(img.byName["f"])
			require.NoError(t, err)
			var have []row
			for _, pc := range f.changes() {
				have = append(have, row{pc, f.rules[pc]})
			}
			require.Equal(t, test.want, have)

			read := &table{begin: f.addr, end: f.addr + f.size}
			r := &reader{data: f.program()}
			read.run(cie{dataAlign: -8, initial: []byte{cfaDefine, 7, 8, cfaOffset | returnColumn, 1}}, r)
			require.NoError(t, r.err)
			for pc, want := range f.rules {
				require.Equal(t, want, read.at(pc), "%#x", pc)
			}
		})
	}
}

func TestWhatCannotBeUnwoundIsRefused(t *testing.T) {
	for _, test := range []struct {
		name, want string
		code       []byte
	}{
		{"unbalanced", "leaves with depth 8", []byte{0x50, 0xc3}},
		{"alloca", "moves by an unknown amount", []byte{0x48, 0x29, 0xc4, 0xc3}},
		{"two depths", "two paths meet", []byte{0x85, 0xc0, 0x74, 0x01, 0x50, 0x0f, 0x0b}},                        // test; je +1; push; ud2
		{"RBP lost", "RBP is lost", []byte{0x31, 0xed, 0xc3}},                                                     // xor ebp, ebp
		{"RBP lost in part", "RBP is lost", []byte{0x40, 0xb5, 0x00, 0xc3}},                                       // mov bpl, 0
		{"RBP not restored", "RBP is lost", []byte{0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xc4, 0x08, 0xc3}},         // add rsp, 8
		{"saved RBP overwritten", "is overwritten", []byte{0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0x04, 0x24, 0xc3}}, // mov [rsp], rax
		{"return address overwritten", "is overwritten", []byte{0x48, 0x89, 0x04, 0x24, 0xc3}},
		{"rounded without a frame", "stack pointer is lost", []byte{0x48, 0x83, 0xe4, 0xf0, 0xc3}},
		{"jump table", "indirect jump", []byte{0xff, 0xe0}},
		{"no end", "past its end", []byte{0x90}},
		{"not code", "can't decode", []byte{0x06, 0xc3}},
		{"a failed check without a frame", "nothing can unwind the stub", []byte{0xe8, 0, 0, 0, 0, 0xc3}}, // call g
		{"into the middle", "no function starts", []byte{0xe8, 1, 0, 0, 0, 0xc3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			img := place(test.code, []byte{0x90, 0xc3})
			if test.name == "into the middle" {
				img.text[1] = 2
			} else if test.name == "a failed check without a frame" {
				img.text[1] = 1
			}
			w := &walker{img: img, stub: img.byName["g"]}
			_, err := w.analyse(img.byName["f"])
			require.ErrorContains(t, err, test.want)
		})
	}
}

// Only what the entries lead to is described, callees and tail calls included.
func TestReach(t *testing.T) {
	img := place(
		[]byte{0xe8, 3, 0, 0, 0, 0xc3}, // f: call h; ret
		[]byte{0x90, 0xc3},             // g
		[]byte{0x31, 0xc0, 0xeb, 0x02}, // h: xor eax, eax; jmp j
		[]byte{0x90, 0xc3},             // i: nobody calls it
		[]byte{0xc3},                   // j
	)
	functions, err := reach(img, []rtfree.Entry{{Go: "x", C: "f"}}, "g")
	require.NoError(t, err)
	var names string
	for _, f := range functions {
		names += f.name
	}
	require.Equal(t, "fghj", names)
	var source bytes.Buffer
	emit(&source, img.byName["g"], functions)
	require.Contains(t, source.String(), "g + -6 - .")
	_, err = reach(img, []rtfree.Entry{{Go: "x", C: "y"}}, "")
	require.ErrorContains(t, err, "no function y")
}
