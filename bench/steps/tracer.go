package steps

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/arch/x86/x86asm"
)

// tracer is one traced program. All its methods must run on the thread that started it.
type tracer struct {
	pid       int
	area      uint64 // of rseq; 0: none
	sequences int
}

const (
	mark = 0xcc // int3

	// csOffset is where struct rseq has its pointer to the sequence's descriptor, a struct rseq_cs.
	csOffset = 8

	maxSteps = 1000000 // of one call: a slow path, not a hang
	maxBytes = 15      // of an instruction
)

// wait for the next stop. Signals other than the trap are the program's end as far as we are concerned.
func (t *tracer) wait() (ended bool, err error) {
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(t.pid, &ws, 0, nil); err != nil {
		return false, err
	}
	switch {
	case ws.Exited() && ws.ExitStatus() == 0:
		return true, nil
	case ws.Stopped() && ws.StopSignal() == syscall.SIGTRAP:
		return false, nil
	}
	return ws.Exited() || ws.Signaled(), fmt.Errorf("the traced program: status %#x", uint32(ws))
}

// resume lets it run to the next mark or breakpoint.
func (t *tracer) resume() (ended bool, err error) {
	if err := syscall.PtraceCont(t.pid, 0); err != nil {
		return false, err
	}
	return t.wait()
}

func (t *tracer) regs() (*syscall.PtraceRegs, error) {
	var r syscall.PtraceRegs
	return &r, syscall.PtraceGetRegs(t.pid, &r)
}

func (t *tracer) read(addr uint64, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := syscall.PtracePeekText(t.pid, uintptr(addr), b)
	return b, err
}

// toMark steps to the next mark, which is not executed, and returns how many instructions that took.
func (t *tracer) toMark() (int, error) {
	for n := 0; n < maxSteps; {
		r, err := t.regs()
		if err != nil {
			return n, err
		}
		code, err := t.read(r.Rip, maxBytes+1)
		if err != nil {
			return n, err
		}
		if code[0] == mark {
			return n, nil
		}
		// Instructions that the decoder does not know (AVX) are stepped like any other: none arms a sequence.
		if inst, err := x86asm.Decode(code, 64); err == nil && t.arms(&inst, r) {
			k, err := t.walk(&inst, r)
			if err != nil {
				return n, err
			}
			n += k
			continue
		}
		if err := syscall.PtraceSingleStep(t.pid); err != nil {
			return n, err
		}
		if ended, err := t.wait(); err != nil || ended {
			return n, fmt.Errorf("the program ended within a call: %w", err)
		}
		n++
	}
	return maxSteps, fmt.Errorf("no mark within %d instructions", maxSteps)
}

// arms tells whether the instruction stores a descriptor's address into rseq_cs.
func (t *tracer) arms(inst *x86asm.Inst, r *syscall.PtraceRegs) bool {
	if t.area == 0 || inst.Op != x86asm.MOV || inst.MemBytes != 8 {
		return false
	}
	mem, ok := inst.Args[0].(x86asm.Mem)
	if !ok || address(mem, inst, r) != t.area+csOffset {
		return false
	}
	v, ok := stored(inst, r)
	return ok && v != 0 // zero disarms
}

// stored is the value that a MOV writes.
func stored(inst *x86asm.Inst, r *syscall.PtraceRegs) (uint64, bool) {
	switch a := inst.Args[1].(type) {
	case x86asm.Reg:
		return register(a, r)
	case x86asm.Imm:
		return uint64(a), true
	}
	return 0, false
}

func address(m x86asm.Mem, inst *x86asm.Inst, r *syscall.PtraceRegs) uint64 {
	a := uint64(m.Disp)
	if m.Segment == x86asm.FS {
		a += r.Fs_base
	}
	if m.Base == x86asm.RIP {
		a += r.Rip + uint64(inst.Len)
	} else if v, ok := register(m.Base, r); ok {
		a += v
	}
	if v, ok := register(m.Index, r); ok {
		a += v * uint64(m.Scale)
	}
	return a
}

func register(reg x86asm.Reg, r *syscall.PtraceRegs) (uint64, bool) {
	if reg < x86asm.RAX || reg > x86asm.R15 {
		return 0, false
	}
	return [...]uint64{r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi,
		r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15}[reg-x86asm.RAX], true
}

// walk runs the sequence that inst is about to arm at full speed and returns how many instructions that were.
func (t *tracer) walk(inst *x86asm.Inst, r *syscall.PtraceRegs) (int, error) {
	cs, ok := stored(inst, r)
	if !ok {
		return 0, fmt.Errorf("what %v stores is not known", inst)
	}
	desc, err := t.read(cs, 32)
	if err != nil {
		return 0, fmt.Errorf("the descriptor at %#x: %w", cs, err)
	}
	start := binary.LittleEndian.Uint64(desc[8:])
	end := start + binary.LittleEndian.Uint64(desc[16:])
	if end < r.Rip || end-r.Rip > 4096 {
		return 0, fmt.Errorf("a sequence from %#x to %#x armed at %#x", start, end, r.Rip)
	}
	code, err := t.read(r.Rip, int(end-r.Rip)+maxBytes)
	if err != nil {
		return 0, err
	}
	exits, err := exitsOf(code, r.Rip, end)
	if err != nil {
		return 0, err
	}
	t.sequences++
	return t.runTo(exits)
}

// exitsOf maps the ways out of the code at from, up to end, to the instructions executed on the way there.
func exitsOf(code []byte, from, end uint64) (map[uint64]int, error) {
	exits := map[uint64]int{}
	n := 0
	for at := from; at < end; n++ {
		inst, err := x86asm.Decode(code[at-from:], 64)
		if err != nil {
			return nil, fmt.Errorf("an instruction of the sequence at %#x: %w", at, err)
		}
		next := at + uint64(inst.Len)
		for _, a := range inst.Args {
			rel, ok := a.(x86asm.Rel)
			if !ok {
				continue
			}
			to := next + uint64(int64(rel))
			if to >= from && to < end {
				return nil, fmt.Errorf("a jump within the sequence at %#x", at)
			}
			if _, known := exits[to]; !known {
				exits[to] = n + 1
			}
		}
		at = next
	}
	exits[end] = n
	return exits, nil
}

// runTo puts breakpoints on the exits, lets the program run into one, and takes them out again.
func (t *tracer) runTo(exits map[uint64]int) (int, error) {
	old := map[uint64][]byte{}
	for at := range exits {
		b, err := t.read(at, 1)
		if err != nil {
			return 0, err
		}
		old[at] = b
		if _, err := syscall.PtracePokeText(t.pid, uintptr(at), []byte{mark}); err != nil {
			return 0, err
		}
	}
	if ended, err := t.resume(); err != nil || ended {
		return 0, fmt.Errorf("the program ended within a sequence: %w", err)
	}
	for at, b := range old {
		if _, err := syscall.PtracePokeText(t.pid, uintptr(at), b); err != nil {
			return 0, err
		}
	}
	r, err := t.regs()
	if err != nil {
		return 0, err
	}
	r.Rip-- // the breakpoint itself
	n, ok := exits[r.Rip]
	if !ok {
		return 0, fmt.Errorf("the sequence was left at %#x, which is none of its ways out", r.Rip)
	}
	return n, syscall.PtraceSetRegs(t.pid, r)
}
