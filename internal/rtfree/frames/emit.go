package main

import (
	"bytes"
	"fmt"
	"strings"
)

// Operations of call-frame programs, from the DWARF standard. The first three carry an operand in their low
// six bits.
const (
	cfaAdvance     = 0x40
	cfaOffset      = 0x80
	cfaRestore     = 0xc0
	cfaAdvance1    = 0x02
	cfaAdvance2    = 0x03
	cfaAdvance4    = 0x04
	cfaRegister    = 0x09
	cfaDefine      = 0x0c
	cfaDefRegister = 0x0d
	cfaDefOffset   = 0x0e
)

const returnColumn = 16 // the return address, as a DWARF register

// emit writes the source and returns about how many bytes of .eh_frame it makes. anchor is a function that the
// object exports; the others are found by their distance from it.
func emit(out *bytes.Buffer, anchor *function, functions []*framed) (size int) {
	fmt.Fprintf(out, `# Written by internal/rtfree/frames. Unwinding through the Go functions, which the Go linker describes only in
# .debug_frame.
	.hidden	%[1]s
	.section .eh_frame, "a", @progbits
	.balign	8
.Lcie:	.long	.Lfdes - .Lcie1
.Lcie1:	.long	0
	.byte	1
	.asciz	"zR"
	.byte	1, 0x78, %[2]d	# code by 1, data by -8, return address
	.byte	1, 0x1b		# addresses are relative to their place, 4 bytes
	.byte	%[3]s
	.balign	8
.Lfdes:
`, anchor.name, returnColumn, list([]byte{cfaDefine, entryRule.cfaReg, 8, cfaOffset | returnColumn, 1}))
	for i, f := range functions {
		program := f.program()
		fmt.Fprintf(out, "\n# %s\n\t.long\t.Lend%d - .Lfde%d\n.Lfde%d:\t.long\t.Lfde%d - .Lcie\n", f.name, i, i, i, i)
		fmt.Fprintf(out, "\t.long\t%s + %d - .\n\t.long\t%d\n\t.byte\t0\n", anchor.name, int64(f.addr)-int64(anchor.addr), f.size)
		if len(program) > 0 {
			fmt.Fprintf(out, "\t.byte\t%s\n", list(program))
		}
		fmt.Fprintf(out, "\t.balign\t8\n.Lend%d:\n", i)
		size += (17 + len(program) + 7) &^ 7
	}
	fmt.Fprint(out, "\n\t.section .note.GNU-stack, \"\", @progbits\n")
	return size
}

func list(code []byte) string {
	var words []string
	for _, b := range code {
		words = append(words, fmt.Sprintf("%#x", b))
	}
	return strings.Join(words, ", ")
}

// program is the function's rules as a call-frame program, from the rules of the CIE on.
func (f *framed) program() []byte {
	var code []byte
	at, now := f.addr, entryRule
	for _, pc := range f.changes() {
		code = append(advance(code, pc-at), transition(now, f.rules[pc])...)
		at, now = pc, f.rules[pc]
	}
	return code
}

func advance(code []byte, n uint64) []byte {
	switch {
	case n == 0:
		return code
	case n < 1<<6:
		return append(code, cfaAdvance|byte(n))
	case n < 1<<8:
		return append(code, cfaAdvance1, byte(n))
	case n < 1<<16:
		return append(code, cfaAdvance2, byte(n), byte(n>>8))
	}
	return append(code, cfaAdvance4, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}

func transition(from, to rule) []byte {
	var code []byte
	register, offset := from.cfaReg != to.cfaReg, from.cfaOffset != to.cfaOffset
	switch {
	case register && offset:
		code = uleb(append(code, cfaDefine, to.cfaReg), to.cfaOffset)
	case register:
		code = append(code, cfaDefRegister, to.cfaReg)
	case offset:
		code = uleb(append(code, cfaDefOffset), to.cfaOffset)
	}
	if from.rbp != to.rbp {
		if to.rbp == 0 {
			code = append(code, cfaRestore|dwarfNumber[rbp])
		} else {
			code = uleb(append(code, cfaOffset|dwarfNumber[rbp]), to.rbp/8)
		}
	}
	if from.ra != to.ra {
		if to.ra < 0 {
			code = append(code, cfaOffset|returnColumn, 1)
		} else {
			code = append(code, cfaRegister, returnColumn, byte(to.ra))
		}
	}
	return code
}

func uleb(code []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		code = append(code, byte(n)|0x80)
	}
	return append(code, byte(n))
}
