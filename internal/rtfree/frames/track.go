package main

import (
	"errors"
	"fmt"

	"golang.org/x/arch/x86/x86asm"
)

// Register numbers of the machine. DWARF has its own: dwarfNumber.
const (
	rbx = 3
	rsp = 4
	rbp = 5
	r12 = 12
)

var dwarfNumber = [16]byte{0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15}

// What a register or the stack pointer may hold, besides a depth. A depth counts bytes from the return address
// down: 0 is RSP at the function's first instruction, and the slot of depth 8 is what a push fills there.
const (
	unknown = -1 - iota
	callers // RBP as the caller left it
	retaddr // the return address
)

// state is what is known before an instruction.
type state struct {
	depth int     // of RSP; unknown once it was rounded down
	holds [16]int // each register; holds[rsp] is unused
	saved int     // depth of the slot with the caller's RBP, or unknown
}

func fresh() state {
	s := state{saved: unknown}
	s.forget(func(int) bool { return true })
	s.holds[rbp] = callers
	return s
}

func (s *state) forget(which func(register int) bool) {
	for r := range s.holds {
		if which(r) {
			s.holds[r] = unknown
		}
	}
}

// rule tells an unwinder what to do at an instruction.
type rule struct {
	cfaReg    byte // 6 (RBP) or 7 (RSP)
	cfaOffset int
	rbp       int // the caller's RBP lies at CFA-rbp; 0: it is in RBP
	ra        int // the return address is in this DWARF register; -1: it lies at CFA-8
}

var entryRule = rule{cfaReg: dwarfNumber[rsp], cfaOffset: 8, ra: -1}

func (s *state) rule() (rule, error) {
	r := entryRule
	switch {
	case s.saved != unknown:
		r.rbp = s.saved + 8
	case s.holds[rbp] != callers:
		return r, errors.New("the caller's RBP is lost")
	}
	if s.holds[rbp] >= 0 {
		r.cfaReg, r.cfaOffset = dwarfNumber[rbp], s.holds[rbp]+8
		return r, nil
	}
	if s.depth != unknown {
		r.cfaOffset = s.depth + 8
		return r, nil
	}
	// Neither register tells the CFA. The package comment says why the return address will do.
	for n, v := range s.holds {
		if v == retaddr && s.holds[rbp] == callers {
			r.ra = int(dwarfNumber[n])
			return r, nil
		}
	}
	return r, errors.New("the stack pointer is lost")
}

// leaves is nil if the stack is as the function found it: it may return, or jump to another.
func (s *state) leaves() error {
	if s.depth != 0 || s.holds[rbp] != callers {
		return fmt.Errorf("leaves with depth %d and RBP %d", s.depth, s.holds[rbp])
	}
	return nil
}

// called applies what a call leaves of the registers: Go preserves RBP, and C more.
func (s *state) called(c bool) {
	s.forget(func(r int) bool { return r != rbp && !(c && (r == rbx || r >= r12)) })
}

// slot is the depth of the stack slot that memory is, if it is known to be one.
func (s *state) slot(a x86asm.Arg) (int, bool) {
	m, ok := a.(x86asm.Mem)
	if !ok || m.Index != 0 || m.Segment != 0 || m.Base == 0 || m.Base == x86asm.RIP {
		return 0, false
	}
	n, _ := number(m.Base)
	base := s.holds[n]
	if n == rsp {
		base = s.depth
	}
	return base - int(m.Disp), base >= 0
}

// step applies an instruction that neither calls nor jumps.
func (s *state) step(inst x86asm.Inst) error {
	if err := s.apply(inst); err != nil {
		return err
	}
	if s.depth != unknown && s.saved > s.depth {
		s.saved = unknown // below the stack pointer
	}
	return nil
}

func (s *state) apply(inst x86asm.Inst) error {
	to, isReg := number(inst.Args[0])
	switch inst.Op {
	case x86asm.CMP, x86asm.TEST, x86asm.BT, x86asm.NOP:
		return nil
	case x86asm.PUSH, x86asm.PUSHF, x86asm.PUSHFQ:
		if s.depth == unknown {
			return nil
		}
		s.depth += 8
		if isReg && to == rbp && s.holds[rbp] == callers && s.saved == unknown {
			s.saved = s.depth
		}
		return nil
	case x86asm.POP, x86asm.POPF, x86asm.POPFQ:
		if isReg {
			s.load(to, s.depth)
		}
		if s.depth != unknown {
			s.depth -= 8
		}
		return nil
	case x86asm.LEAVE:
		if s.holds[rbp] < 0 {
			return errors.New("RBP holds no frame")
		}
		s.depth = s.holds[rbp]
		s.load(rbp, s.depth)
		s.depth -= 8
		return nil
	case x86asm.XCHG, x86asm.XADD:
		if n, ok := number(inst.Args[1]); ok {
			if n == rsp {
				return errors.New("the stack pointer is exchanged")
			}
			s.holds[n] = unknown
		}
	case x86asm.CPUID, x86asm.MUL, x86asm.IMUL, x86asm.DIV, x86asm.IDIV, x86asm.SYSCALL, x86asm.CMPXCHG, x86asm.CMPXCHG16B,
		x86asm.RDTSC, x86asm.MOVSB, x86asm.MOVSW, x86asm.MOVSD, x86asm.MOVSQ, x86asm.STOSB, x86asm.STOSW, x86asm.STOSD, x86asm.STOSQ:
		s.forget(func(r int) bool { return r < r12 && r != rbp }) // what they write without naming it
	}
	if isReg && to == rsp {
		return s.moveSP(inst)
	}
	from, fromReg := number(inst.Args[1])
	switch {
	case !isReg && inst.Op == x86asm.MOV && fromReg:
		return s.store(inst.Args[0], from)
	case !isReg:
		return s.overwrite(inst.Args[0], false)
	case inst.Op == x86asm.MOV && fromReg && inst.DataSize == 64:
		s.holds[to] = s.holds[from]
		if from == rsp {
			s.holds[to] = s.depth
		}
	case inst.Op == x86asm.MOV && inst.DataSize == 64:
		at, ok := s.slot(inst.Args[1])
		if !ok {
			at = unknown
		}
		s.load(to, at)
	case inst.Op == x86asm.LEA:
		s.holds[to] = unknown
		if at, ok := s.slot(inst.Args[1]); ok {
			s.holds[to] = at
		}
	default:
		s.holds[to] = unknown
	}
	return nil
}

// load sets a register from the slot at a depth.
func (s *state) load(register, at int) {
	s.holds[register] = unknown
	switch {
	case at == unknown:
	case at == 0:
		s.holds[register] = retaddr
	case at == s.saved:
		s.holds[register] = callers
		if register == rbp {
			s.saved = unknown
		}
	}
}

// store writes a register to memory.
func (s *state) store(mem x86asm.Arg, register int) error {
	if at, ok := s.slot(mem); ok {
		if s.holds[register] == callers && s.saved == unknown && at > 0 && at <= s.depth {
			s.saved = at
			return nil
		}
		return s.overwrite(mem, s.holds[register] == callers && at == s.saved || s.holds[register] == retaddr && at == 0)
	}
	m, _ := mem.(x86asm.Mem)
	if s.depth == unknown && m.Base == x86asm.RSP && m.Index == 0 && m.Disp == 0 && s.holds[register] == retaddr && s.holds[rbp] == callers {
		*s = fresh() // as if the call had happened here
	}
	return nil
}

// overwrite fails if memory is a slot that an unwinder needs, unless it is written what it holds.
func (s *state) overwrite(mem x86asm.Arg, same bool) error {
	if at, ok := s.slot(mem); ok && !same && (at == 0 || at == s.saved) {
		return fmt.Errorf("%v is overwritten", mem)
	}
	return nil
}

// moveSP applies an instruction that writes RSP.
func (s *state) moveSP(inst x86asm.Inst) error {
	switch src := inst.Args[1].(type) {
	case x86asm.Imm:
		sign := 0
		switch {
		case inst.Op == x86asm.SUB:
			sign = 1
		case inst.Op == x86asm.ADD:
			sign = -1
		case inst.Op == x86asm.AND && src < 0 && -src&(-src-1) == 0:
			s.depth = unknown
			return nil
		}
		if sign != 0 {
			if s.depth != unknown {
				s.depth += sign * int(src)
			}
			return nil
		}
	case x86asm.Reg:
		if n, ok := number(src); ok && inst.Op == x86asm.MOV && s.holds[n] >= 0 {
			s.depth = s.holds[n]
			return nil
		}
	case x86asm.Mem:
		if at, ok := s.slot(src); ok && inst.Op == x86asm.LEA {
			s.depth = at
			return nil
		}
		if s.depth == unknown && inst.Op == x86asm.LEA && src.Base == x86asm.RSP {
			return nil
		}
	}
	return errors.New("the stack pointer moves by an unknown amount")
}
