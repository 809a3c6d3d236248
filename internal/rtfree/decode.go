package rtfree

import (
	"bytes"
	"debug/elf"
	"fmt"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

var (
	endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}
	rdpid   = []byte{0xf3, 0x0f, 0xc7} // followed by /7, a register
)

// decode is x86asm.Decode plus the instructions that it doesn't know, with displacements as signed numbers.
func decode(code []byte) (x86asm.Inst, error) {
	if len(code) == 0 {
		return x86asm.Inst{}, fmt.Errorf("no code")
	}
	if bytes.HasPrefix(code, endbr64) {
		return x86asm.Inst{Op: x86asm.NOP, Len: 4}, nil
	}
	if bytes.HasPrefix(code, rdpid) && len(code) > 3 && code[3] >= 0xf8 {
		return x86asm.Inst{Op: x86asm.MOV, Len: 4, Args: x86asm.Args{x86asm.RAX + x86asm.Reg(code[3]&7)}}, nil
	}
	inst, err := x86asm.Decode(code, 64)
	if err == nil && inst.Op == 0 {
		err = x86asm.ErrUnrecognized
	}
	if err != nil {
		return inst, fmt.Errorf("can't decode % x: %w", code[:min(len(code), 12)], err)
	}
	for i, a := range inst.Args {
		if m, ok := a.(x86asm.Mem); ok { // a displacement of 32 bits comes without its sign
			m.Disp = int64(int32(m.Disp))
			inst.Args[i] = m
		}
	}
	return inst, nil
}

func isCondJump(op x86asm.Op) bool {
	switch op {
	case x86asm.JA, x86asm.JAE, x86asm.JB, x86asm.JBE, x86asm.JCXZ, x86asm.JE, x86asm.JECXZ, x86asm.JG, x86asm.JGE,
		x86asm.JL, x86asm.JLE, x86asm.JNE, x86asm.JNO, x86asm.JNP, x86asm.JNS, x86asm.JO, x86asm.JP, x86asm.JRCXZ,
		x86asm.JS, x86asm.LOOP, x86asm.LOOPE, x86asm.LOOPNE:
		return true
	}
	return false
}

// endsPath tells whether control never passes an instruction: traps, as the compiler puts them after calls
// that don't return.
func endsPath(op x86asm.Op) bool {
	return op == x86asm.UD2 || op == x86asm.UD1 || op == x86asm.INT || op == x86asm.HLT
}

// regNumber is the number of a 64-bit or 32-bit general register: writing either replaces the whole.
func regNumber(a x86asm.Arg) (int, bool) {
	r, ok := a.(x86asm.Reg)
	switch {
	case !ok:
		return 0, false
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), true
	}
	return 0, false
}

// usesR14 tells whether an argument is R14, a part of it, or memory addressed by it.
func usesR14(a x86asm.Arg) bool {
	switch a := a.(type) {
	case x86asm.Reg:
		return a == x86asm.R14 || a == x86asm.R14L || a == x86asm.R14W || a == x86asm.R14B
	case x86asm.Mem:
		return a.Base == x86asm.R14 || a.Index == x86asm.R14
	}
	return false
}

func isTLS(t elf.R_X86_64) bool {
	return t == elf.R_X86_64_GOTTPOFF || t == elf.R_X86_64_TPOFF32
}

func isMorestack(name string) bool { return strings.HasPrefix(name, "runtime.morestack") }
