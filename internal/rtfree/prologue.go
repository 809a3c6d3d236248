package rtfree

import "golang.org/x/arch/x86/x86asm"

// stackGuard is the offset of g.stackguard0, which the stack check of every Go function reads. fake_g holds a
// zero there, and so no check fails.
const stackGuard = 0x10

// prologue recognises the stack check at the start of a function and returns where the code after it starts.
// The compiler emits one of three, by the size of the frame (cmd/internal/obj/x86, stacksplit):
//
//	cmp rsp, [r14+16]; jbe more
//	lea r12, [rsp-N]; cmp r12, [r14+16]; jbe more
//	mov r12, rsp; sub r12, N; jb more; cmp r12, [r14+16]; jbe more
//
// or none, for a small leaf, a nosplit function and assembly. A function that assembly calls loads g first, as
// checkG describes. The code at more spills the arguments and calls
// morestack; it is not walked, as it is never reached.
func (w *walker) prologue() uint64 {
	start := w.afterG(w.fn.addr)
	var insts []x86asm.Inst
	pcs := []uint64{start}
	for len(insts) < 5 && w.inside(pcs[len(insts)]) {
		pc := pcs[len(insts)]
		inst, err := decode(w.img.code(w.fn, pc))
		if err != nil {
			break
		}
		insts = append(insts, inst)
		pcs = append(pcs, pc+uint64(inst.Len))
	}
	is := func(i int, op x86asm.Op, args ...x86asm.Arg) bool {
		if i >= len(insts) || insts[i].Op != op {
			return false
		}
		for j, a := range args {
			if insts[i].Args[j] != a {
				return false
			}
		}
		return true
	}
	jumps := func(i int) bool { // to a block that calls morestack, or it is no stack check
		rel, ok := insts[i].Args[0].(x86asm.Rel)
		if ok && w.callsMorestack(pcs[i+1]+uint64(int64(rel))) {
			return true
		}
		w.fault(Prologue, pcs[i], "%s: its stack check does not lead to morestack", w.fn.name)
		return false
	}
	compares := func(i int, r x86asm.Reg) bool {
		return is(i, x86asm.CMP, r) && isGuard(insts[i].Args[1]) && is(i+1, x86asm.JBE)
	}
	switch {
	case compares(0, x86asm.RSP):
		if jumps(1) {
			return pcs[2]
		}
	case is(0, x86asm.LEA, x86asm.R12) && compares(1, x86asm.R12):
		if m := insts[0].Args[1].(x86asm.Mem); m.Base == x86asm.RSP && m.Index == 0 && m.Disp < 0 && jumps(2) {
			return pcs[3]
		}
	case is(0, x86asm.MOV, x86asm.R12, x86asm.RSP) && is(1, x86asm.SUB, x86asm.R12) && is(2, x86asm.JB) && compares(3, x86asm.R12):
		if jumps(2) && jumps(4) {
			return pcs[5]
		}
	}
	return w.fn.addr
}

// afterG returns the address after the instructions at pc that load g from thread-local storage, if they do.
func (w *walker) afterG(pc uint64) uint64 {
	inst, err := decode(w.img.code(w.fn, pc))
	if err != nil || inst.Op != x86asm.MOV || inst.Args[0] != x86asm.R14 {
		return pc
	}
	next := pc + uint64(inst.Len)
	m, _ := inst.Args[1].(x86asm.Mem)
	_, imm := inst.Args[1].(x86asm.Imm)
	switch {
	case isSlotOfG(m):
		return next
	case (imm || m.Segment == 0 && m.Base == x86asm.RIP) && w.restoresG(next):
		last, _ := decode(w.img.code(w.fn, next))
		return next + uint64(last.Len)
	}
	return pc
}

// callsMorestack tells whether the first call in the straight-line code at pc is one of morestack.
func (w *walker) callsMorestack(pc uint64) bool {
	for w.inside(pc) {
		inst, err := decode(w.img.code(w.fn, pc))
		if err != nil {
			return false
		}
		next := pc + uint64(inst.Len)
		switch {
		case inst.Op == x86asm.CALL:
			rel, direct := inst.Args[0].(x86asm.Rel)
			if !direct {
				return false
			}
			callee := w.img.at(next + uint64(int64(rel)))
			return callee != nil && isMorestack(callee.name)
		case inst.Op == x86asm.JMP, inst.Op == x86asm.RET, isCondJump(inst.Op):
			return false
		}
		pc = next
	}
	return false
}

func isGuard(a x86asm.Arg) bool {
	m, ok := a.(x86asm.Mem)
	return ok && m.Base == x86asm.R14 && m.Index == 0 && m.Disp == stackGuard && m.Segment == 0
}

// checkG flags uses of R14 and of thread-local storage after the prologue. Only two are known: after a call of
// ABI0 assembly the compiler restores R14 from the thread's g slot, through the global offset table (which the
// linker of an executable replaces by a constant) or directly,
//
//	mov r14, [rip+tlsg@gottpoff]; mov r14, fs:[r14]
//	mov r14, tlsg@tpoff; mov r14, fs:[r14]
//	mov r14, fs:[tlsg@tpoff]
func (w *walker) checkG(pc uint64, inst x86asm.Inst) {
	segment, r14 := false, false
	for _, a := range inst.Args {
		m, mem := a.(x86asm.Mem)
		segment = segment || mem && (m.Segment == x86asm.FS || m.Segment == x86asm.GS)
		r14 = r14 || usesR14(a)
	}
	if !segment && !r14 {
		return
	}
	if w.afterG(pc) != pc {
		return
	}
	switch m, _ := inst.Args[1].(x86asm.Mem); {
	case inst.Op == x86asm.CMP && m.Base == x86asm.R14:
		w.fault(Prologue, pc, "%s: %v is a stack check of no known form", w.fn.name, inst)
	case segment:
		w.fault(FakeG, pc, "%s: %v uses thread-local storage", w.fn.name, inst)
	default:
		w.fault(FakeG, pc, "%s: %v uses g", w.fn.name, inst)
	}
}

// isSlotOfG tells whether memory is the thread's g slot: an offset in thread-local storage, or what R14 holds
// of it.
func isSlotOfG(m x86asm.Mem) bool {
	return m.Segment == x86asm.FS && (m.Base == x86asm.R14 || m.Base == 0) && m.Index == 0
}

// restoresG tells whether the instruction at pc is mov r14, fs:[r14].
func (w *walker) restoresG(pc uint64) bool {
	inst, err := decode(w.img.code(w.fn, pc))
	if err != nil || inst.Op != x86asm.MOV || inst.Args[0] != x86asm.R14 {
		return false
	}
	m, _ := inst.Args[1].(x86asm.Mem)
	return isSlotOfG(m) && m.Base == x86asm.R14
}
