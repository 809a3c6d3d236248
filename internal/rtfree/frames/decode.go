package main

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/arch/x86/x86asm"
)

var (
	endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}
	rdpid   = []byte{0xf3, 0x0f, 0xc7} // followed by /7, a register
)

// decode is x86asm.Decode plus the instructions that it doesn't know, with displacements as signed numbers. Of
// those unknown ones only the length counts and which general register they write: they come as MOV to it.
func decode(code []byte) (x86asm.Inst, error) {
	switch {
	case len(code) == 0:
		return x86asm.Inst{}, errors.New("no code")
	case bytes.HasPrefix(code, endbr64):
		return x86asm.Inst{Op: x86asm.NOP, Len: 4}, nil
	case bytes.HasPrefix(code, rdpid) && len(code) > 3 && code[3] >= 0xf8:
		return x86asm.Inst{Op: x86asm.MOV, Len: 4, Args: x86asm.Args{x86asm.RAX + x86asm.Reg(code[3]&7)}}, nil
	case code[0] == 0xc4 || code[0] == 0xc5:
		return decodeVEX(code)
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

// decodeVEX measures an instruction of AVX, AVX2 or BMI. memmove and its like are written with them.
func decodeVEX(code []byte) (x86asm.Inst, error) {
	bad := fmt.Errorf("can't decode % x: %w", code[:min(len(code), 12)], x86asm.ErrUnrecognized)
	size := len(code)
	code = append(bytes.Clone(code[:min(size, 16)]), make([]byte, 16)...) // to read on where the function ends
	opcodeMap, r, b, n := byte(1), ^code[1]>>7<<3, byte(0), 2
	if code[0] == 0xc4 {
		opcodeMap, b, n = code[1]&31, ^code[1]>>5&1<<3, 3
	}
	op := code[n]
	n++
	if opcodeMap == 1 && op == 0x77 && n <= size { // VZEROUPPER
		return x86asm.Inst{Op: x86asm.NOP, Len: n}, nil
	}
	modrm := code[n]
	n++
	mod, reg, rm := modrm>>6, modrm>>3&7|r, modrm&7|b
	if mod != 3 && modrm&7 == 4 {
		if mod == 0 && code[n]&7 == 5 {
			n += 4
		}
		n++
	}
	switch {
	case mod == 1:
		n++
	case mod == 2 || mod == 0 && modrm&7 == 5:
		n += 4
	}
	if opcodeMap == 3 || opcodeMap == 1 && (op >= 0x70 && op <= 0x73 || op == 0xc2 || op >= 0xc4 && op <= 0xc6) {
		n++ // an immediate byte
	}
	inst := x86asm.Inst{Op: x86asm.MOV, Len: n}
	general := func(number byte) { inst.Args[0] = x86asm.RAX + x86asm.Reg(number) }
	switch at := int(opcodeMap)<<8 | int(op); {
	case n > size || opcodeMap < 1 || opcodeMap > 3:
		return x86asm.Inst{}, bad
	case at == 0x2f3 || at == 0x2f6: // BLSR, MULX: they write the register in VEX.vvvv
		return x86asm.Inst{}, bad
	case at == 0x150 || at == 0x12c || at == 0x12d || at == 0x1c5 || at == 0x1d7 || at == 0x2f2 || at == 0x2f5 || at == 0x2f7 || at == 0x3f0:
		general(reg)
	case mod == 3 && (at == 0x17e || at >= 0x314 && at <= 0x317):
		general(rm)
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

// endsPath tells whether control never passes an instruction.
func endsPath(op x86asm.Op) bool {
	return op == x86asm.RET || op == x86asm.UD2 || op == x86asm.UD1 || op == x86asm.INT || op == x86asm.HLT
}

// number is that of a general register, of whatever width.
func number(a x86asm.Arg) (int, bool) {
	r, ok := a.(x86asm.Reg)
	switch {
	case !ok:
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL), true
	case r >= x86asm.AH && r <= x86asm.BH:
		return int(r - x86asm.AH), true
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return int(r-x86asm.SPB) + rsp, true
	case r >= x86asm.AX && r <= x86asm.R15W:
		return int(r - x86asm.AX), true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), true
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), true
	}
	return 0, false
}
