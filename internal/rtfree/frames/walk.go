package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/vcmalloc/vcmalloc/internal/rtfree"
)

// framed is a function with its rules.
type framed struct {
	*function
	// rules has an entry for each instruction that can be reached, by address.
	rules   map[uint64]rule
	depths  map[uint64]int // of the stack, likewise; the tests compare them with the Go linker's account
	callees []*function
}

// changes returns the addresses at which the rule is another than before, in order. Code that can't be reached
// (padding, what follows a call that doesn't return) gets the rule of what precedes it.
func (f *framed) changes() []uint64 {
	var pcs []uint64
	for pc := range f.rules {
		pcs = append(pcs, pc)
	}
	slices.Sort(pcs)
	last := entryRule
	return slices.DeleteFunc(pcs, func(pc uint64) bool {
		same := f.rules[pc] == last
		last = f.rules[pc]
		return same
	})
}

// reach returns the functions that the entries and the stub lead to, by address, with their rules.
func reach(img *image, entries []rtfree.Entry, stub string) ([]*framed, error) {
	var queue []*function
	var failures []error
	w := &walker{img: img}
	if stub != "" {
		var err error
		if w.stub, err = img.find(stub); err != nil {
			return nil, err
		}
		queue = append(queue, w.stub)
	}
	for _, e := range entries {
		fn, err := img.find(e.C, e.Go)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		queue = append(queue, fn)
	}
	seen := map[*function]bool{}
	var all []*framed
	for ; len(queue) > 0; queue = queue[1:] {
		fn := queue[0]
		if seen[fn] {
			continue
		}
		seen[fn] = true
		f, err := w.analyse(fn)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %s%w", img.path, fn.name, err))
			continue
		}
		all = append(all, f)
		queue = append(queue, f.callees...)
	}
	slices.SortFunc(all, func(a, b *framed) int { return cmp.Compare(a.addr, b.addr) })
	return all, errors.Join(failures...)
}

type walker struct {
	img  *image
	stub *function // nil without -stub
}

type pending struct {
	pc    uint64
	state state
}

// analyse follows all paths through a function.
func (w *walker) analyse(fn *function) (*framed, error) {
	f := &framed{function: fn, rules: map[uint64]rule{}, depths: map[uint64]int{}}
	work := []pending{{fn.addr, fresh()}}
	for len(work) > 0 {
		next := work[len(work)-1]
		work = work[:len(work)-1]
		more, pc, err := w.path(f, next.pc, next.state)
		if err != nil {
			return nil, fmt.Errorf("+%#x: %w", pc-fn.addr, err)
		}
		work = append(work, more...)
	}
	return f, nil
}

// path follows straight-line code until it ends or joins code already seen. It returns the jumps out of it,
// or the place of an error.
func (w *walker) path(f *framed, pc uint64, s state) (jumps []pending, at uint64, err error) {
	for {
		if !f.holds(pc) {
			return nil, pc, errors.New("control runs past its end")
		}
		r, err := s.rule()
		if err != nil {
			return nil, pc, err
		}
		if old, seen := f.rules[pc]; seen {
			if old != r || f.depths[pc] != s.depth {
				return nil, pc, fmt.Errorf("two paths meet with different stacks, %+v %d and %+v %d", old, f.depths[pc], r, s.depth)
			}
			return jumps, pc, nil
		}
		f.rules[pc], f.depths[pc] = r, s.depth
		inst, err := decode(w.img.text[pc : f.addr+f.size])
		if err != nil {
			return nil, pc, err
		}
		next := pc + uint64(inst.Len)
		switch {
		case inst.Op == x86asm.CALL:
			returns, err := w.call(f, pc, inst, &s)
			if err != nil || !returns {
				return jumps, pc, err
			}
		case inst.Op == x86asm.JMP || isCondJump(inst.Op):
			rel, direct := inst.Args[0].(x86asm.Rel)
			if !direct {
				return nil, pc, fmt.Errorf("%v: an indirect jump", inst)
			}
			target := next + uint64(int64(rel))
			if f.holds(target) && !w.img.leads(pc, inst.Len) {
				jumps = append(jumps, pending{target, s})
			} else if err := w.leave(f, pc, target, inst, &s); err != nil {
				return nil, pc, err
			}
			if inst.Op == x86asm.JMP {
				return jumps, pc, nil
			}
		case inst.Op == x86asm.RET:
			return jumps, pc, s.leaves()
		case endsPath(inst.Op):
			return jumps, pc, nil
		default:
			if err := s.step(inst); err != nil {
				return nil, pc, fmt.Errorf("%v: %w", inst, err)
			}
		}
		pc = next
	}
}

// call notes a callee and tells whether it returns.
func (w *walker) call(f *framed, pc uint64, inst x86asm.Inst, s *state) (returns bool, err error) {
	rel, direct := inst.Args[0].(x86asm.Rel)
	if !direct || w.img.leads(pc, inst.Len) {
		s.called(true)
		return true, nil
	}
	callee, err := w.enter(f, pc+uint64(inst.Len)+uint64(int64(rel)))
	if err != nil {
		return false, err
	}
	if w.endsInStub(callee) {
		// Nobody arrives at morestack: the stack checks before it always pass.
		morestack := strings.HasPrefix(callee.name, "runtime.morestack")
		if f.rules[pc].cfaReg != dwarfNumber[rbp] && !morestack {
			return false, fmt.Errorf("it calls %s without a frame pointer, so that nothing can unwind the stub", callee.name)
		}
		if !morestack {
			return false, nil
		}
	}
	s.called(false)
	return true, nil
}

// leave notes a jump to another function.
func (w *walker) leave(f *framed, pc, target uint64, inst x86asm.Inst, s *state) error {
	if err := s.leaves(); err != nil {
		return err
	}
	if w.img.leads(pc, inst.Len) {
		return nil
	}
	_, err := w.enter(f, target)
	return err
}

// enter notes the function that starts at an address as a callee.
func (w *walker) enter(f *framed, addr uint64) (*function, error) {
	callee := w.img.at(addr)
	if callee == nil || callee.addr != addr {
		return nil, fmt.Errorf("it calls %#x, where no function starts", addr)
	}
	f.callees = append(f.callees, callee)
	return callee, nil
}

// endsInStub tells whether a function is the stub or starts with a jump to it, as the link tool made the
// panic functions do.
func (w *walker) endsInStub(fn *function) bool {
	if w.stub == nil || fn == w.stub {
		return fn == w.stub
	}
	inst, err := decode(w.img.text[fn.addr : fn.addr+fn.size])
	if err != nil || inst.Op != x86asm.JMP {
		return false
	}
	rel, direct := inst.Args[0].(x86asm.Rel)
	return direct && fn.addr+uint64(inst.Len)+uint64(int64(rel)) == w.stub.addr
}
