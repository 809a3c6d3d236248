package rtfree

import (
	"fmt"

	"golang.org/x/arch/x86/x86asm"
)

// flow is what one function does, seen on its own: every instruction that can be reached from its start, with
// the depth of the stack there. Depths count from the return address: 0 at the first instruction.
type flow struct {
	frame    int // greatest depth
	calls    []callSite
	indirect []site
	data     []dataRef
	faults   []fault // rules it breaks by itself: prologue, fake g, stack discipline, undecodable bytes
}

// callSite is a direct call, or a jump to another function.
type callSite struct {
	pc     uint64
	depth  int // of the stack at the call, return address of the callee included if it has one
	callee *function
	// extern is the symbol if the target lies in another object, and target its address if it lies in none.
	extern string
	target uint64
}

// site is an indirect call or jump.
type site struct {
	pc    uint64
	depth int
	text  string
	jump  bool
}

// dataRef is a reference to a datum. In an object file rel names it.
type dataRef struct {
	pc  uint64
	rel reloc
}

type fault struct {
	kind Kind
	pc   uint64
	what string
}

// frameState is what is known about the stack pointer before an instruction.
type frameState struct {
	depth int
	// saved[r] is the depth that register r points at, if it was set from RSP, else -1.
	saved [16]int
}

type walker struct {
	img     *image
	fn      *function
	out     *flow
	ends    func(*function) bool // callees that don't return
	depthAt map[uint64]int
	work    []pending
}

type pending struct {
	pc    uint64
	state frameState
}

// analyse walks fn from its first instruction. A call of a function for which ends is true ends the path.
func analyse(img *image, fn *function, ends func(*function) bool) *flow {
	w := &walker{img: img, fn: fn, out: &flow{}, ends: ends, depthAt: map[uint64]int{}}
	start := w.prologue()
	state := frameState{}
	for i := range state.saved {
		state.saved[i] = -1
	}
	w.push(start, state)
	for len(w.work) > 0 {
		next := w.work[len(w.work)-1]
		w.work = w.work[:len(w.work)-1]
		w.run(next.pc, next.state)
	}
	return w.out
}

func (w *walker) fault(kind Kind, pc uint64, format string, args ...any) {
	w.out.faults = append(w.out.faults, fault{kind, pc, fmt.Sprintf(format, args...)})
}

func (w *walker) push(pc uint64, state frameState) { w.work = append(w.work, pending{pc, state}) }

func (w *walker) inside(pc uint64) bool { return pc >= w.fn.addr && pc < w.fn.addr+w.fn.size }

// run follows straight-line code until it ends or joins code already seen.
func (w *walker) run(pc uint64, s frameState) {
	for {
		if !w.inside(pc) {
			w.fault(Undecodable, w.fn.addr, "%s runs past its end", w.fn.name)
			return
		}
		if depth, seen := w.depthAt[pc]; seen {
			if depth != s.depth {
				w.fault(Stack, pc, "%s: two paths meet with different stack depths, %d and %d", w.fn.name, depth, s.depth)
			}
			return
		}
		w.depthAt[pc] = s.depth
		inst, err := decode(w.img.code(w.fn, pc))
		if err != nil {
			w.fault(Undecodable, pc, "%s: %v", w.fn.name, err)
			return
		}
		w.checkG(pc, inst)
		w.noteData(pc, inst)
		next := pc + uint64(inst.Len)
		switch {
		case inst.Op == x86asm.CALL:
			if !w.call(pc, next, inst, s.depth) {
				return
			}
		case inst.Op == x86asm.JMP:
			w.jump(pc, next, inst, s)
			return
		case isCondJump(inst.Op):
			w.jump(pc, next, inst, s)
		case inst.Op == x86asm.RET:
			if s.depth != 0 {
				w.fault(Stack, pc, "%s returns with %d bytes left on the stack", w.fn.name, s.depth)
			}
			return
		case endsPath(inst.Op):
			return
		default:
			if !w.step(pc, inst, &s) {
				return
			}
		}
		w.out.frame = max(w.out.frame, s.depth)
		pc = next
	}
}

// call records a call and tells whether the path goes on after it.
func (w *walker) call(pc, next uint64, inst x86asm.Inst, depth int) bool {
	rel, direct := inst.Args[0].(x86asm.Rel)
	if !direct {
		w.out.indirect = append(w.out.indirect, site{pc: pc, depth: depth + 8, text: inst.String()})
		return true
	}
	c := w.target(pc, next, inst, rel)
	c.depth = depth + 8
	if c.callee != nil && isMorestack(c.callee.name) {
		w.fault(Prologue, pc, "%s calls %s outside a known stack check", w.fn.name, c.callee.name)
		return false
	}
	w.out.calls = append(w.out.calls, c)
	return c.callee == nil || !w.ends(c.callee)
}

// jump follows a jump within the function and records one that leaves it as a call.
func (w *walker) jump(pc, next uint64, inst x86asm.Inst, s frameState) {
	rel, direct := inst.Args[0].(x86asm.Rel)
	if !direct {
		w.out.indirect = append(w.out.indirect, site{pc: pc, depth: s.depth, text: inst.String(), jump: true})
		return
	}
	c := w.target(pc, next, inst, rel)
	if c.callee == w.fn && c.extern == "" {
		w.push(c.target, s)
		return
	}
	c.depth = s.depth
	w.out.calls = append(w.out.calls, c)
}

func (w *walker) target(pc, next uint64, inst x86asm.Inst, rel x86asm.Rel) callSite {
	c := callSite{pc: pc, target: next + uint64(int64(rel))}
	if w.img.object {
		for _, r := range w.img.relocsIn(pc, inst.Len) {
			if r.symbol < 0 {
				continue
			}
			sym := w.img.symbols[r.symbol]
			if int(sym.Section) < len(w.img.sections) && w.img.sections[sym.Section].Name == ".text" {
				c.target = sym.Value + uint64(r.addend) + 4
				continue
			}
			c.extern = sym.Name
			return c
		}
	}
	c.callee = w.img.at(c.target)
	return c
}

// step follows the stack pointer through an instruction that neither calls nor jumps. It returns false if the
// stack pointer is lost.
func (w *walker) step(pc uint64, inst x86asm.Inst, s *frameState) bool {
	switch inst.Op {
	case x86asm.PUSH, x86asm.PUSHF, x86asm.PUSHFD, x86asm.PUSHFQ:
		s.depth += 8
		return true
	case x86asm.POP, x86asm.POPF, x86asm.POPFD, x86asm.POPFQ:
		s.depth -= 8
		s.forget(inst.Args[0])
		return true
	case x86asm.LEAVE:
		if s.saved[5] < 0 {
			w.fault(Stack, pc, "%s: LEAVE, but RBP does not hold a known frame", w.fn.name)
			return false
		}
		s.depth = s.saved[5] - 8
		s.saved[5] = -1
		return true
	case x86asm.CMP, x86asm.TEST, x86asm.BT:
		return true
	}
	if inst.Args[0] == x86asm.RSP || inst.Args[0] == x86asm.ESP || inst.Op == x86asm.XCHG && inst.Args[1] == x86asm.RSP {
		if !moveSP(inst, s) {
			w.fault(Stack, pc, "%s: %v moves the stack pointer by an unknown amount", w.fn.name, inst)
			return false
		}
		return true
	}
	depth := -1
	switch {
	case inst.Op == x86asm.MOV && inst.Args[1] == x86asm.RSP:
		depth = s.depth
	case inst.Op == x86asm.LEA:
		if m, ok := inst.Args[1].(x86asm.Mem); ok && m.Base == x86asm.RSP && m.Index == 0 {
			depth = s.depth - int(m.Disp)
		}
	}
	s.forget(inst.Args[0])
	if r, ok := regNumber(inst.Args[0]); ok {
		s.saved[r] = depth
	}
	return true
}

// moveSP applies an instruction that writes RSP.
func moveSP(inst x86asm.Inst, s *frameState) bool {
	switch src := inst.Args[1].(type) {
	case x86asm.Imm:
		switch {
		case inst.Op == x86asm.SUB:
			s.depth += int(src)
			return true
		case inst.Op == x86asm.ADD:
			s.depth -= int(src)
			return true
		case inst.Op == x86asm.AND && src < 0 && -src&(-src-1) == 0:
			s.depth += int(-src) - 8 // at worst: RSP is a multiple of 8
			return true
		}
	case x86asm.Reg:
		if r, ok := regNumber(src); ok && inst.Op == x86asm.MOV && s.saved[r] >= 0 {
			s.depth = s.saved[r]
			return true
		}
	case x86asm.Mem:
		if inst.Op != x86asm.LEA || src.Index != 0 {
			return false
		}
		if src.Base == x86asm.RSP {
			s.depth -= int(src.Disp)
			return true
		}
		if r, ok := regNumber(src.Base); ok && s.saved[r] >= 0 {
			s.depth = s.saved[r] - int(src.Disp)
			return true
		}
	}
	return false
}

func (s *frameState) forget(a x86asm.Arg) {
	if r, ok := regNumber(a); ok {
		s.saved[r] = -1
	}
}

// noteData records a reference to a datum by its relocation. Calls and the thread's g slot are not data.
func (w *walker) noteData(pc uint64, inst x86asm.Inst) {
	if !w.img.object || inst.Op == x86asm.CALL || inst.Op == x86asm.JMP || isCondJump(inst.Op) {
		return
	}
	for _, r := range w.img.relocsIn(pc, inst.Len) {
		if !isTLS(r.typ) {
			w.out.data = append(w.out.data, dataRef{pc, r})
		}
	}
}
