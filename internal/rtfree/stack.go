package rtfree

import (
	"fmt"
	"strings"
)

// stackSummer sums stack depths along the call graph.
type stackSummer struct {
	p      *prover
	totals map[*function]int
	// worst is the call on the deepest path below a function; a nil callee ends the path in text.
	worst map[*function]deepCall
	// onPath are the functions being summed: meeting one again is recursion.
	onPath map[*function]bool
	// stub is the stack of the panic stub, which a failed check reaches. Within the stub itself a failed
	// check counts nothing: a stub that fails is recursion that no stack is large enough for.
	stub     int
	stubPath []Step // the deepest path within it
}

type deepCall struct {
	pc     uint64
	callee *function
	text   string
}

func (s *stackSummer) init(p *prover) {
	s.p = p
	s.reset()
	if p.stub != nil {
		n := s.total(p.stub, nil)
		s.stub, s.stubPath = n, s.deepest(p.stub)
		s.reset()
	}
}

func (s *stackSummer) reset() {
	s.totals, s.worst, s.onPath = map[*function]int{}, map[*function]deepCall{}, map[*function]bool{}
}

// total is the most stack that fn uses below its return address. path leads to fn.
func (s *stackSummer) total(fn *function, path []caller) int {
	if n, done := s.totals[fn]; done {
		return n
	}
	if s.onPath[fn] {
		s.recursion(fn, path)
		return 0
	}
	s.onPath[fn] = true
	f := s.p.flowOf(fn)
	most, worst := f.frame, deepCall{}
	consider := func(depth int, call deepCall) {
		if depth > most {
			most, worst = depth, call
		}
	}
	for _, c := range f.calls {
		if c.callee == nil || c.extern != "" {
			continue
		}
		below, text := 0, c.callee.name
		switch s.p.cfg.classify(c.callee.name) {
		case core, helper:
			below = s.total(c.callee, append(path, caller{fn, c.pc}))
			if s.onPath[c.callee] {
				continue // a cycle, already reported: no depth would be right
			}
			consider(c.depth+below, deepCall{c.pc, c.callee, ""})
			continue
		case leaf:
			below = leafStack
		case panics:
			below = s.stub
			if s.p.stub != nil {
				text += " -> " + s.p.stub.name
			}
		}
		consider(c.depth+below, deepCall{c.pc, nil, text})
	}
	for _, i := range f.indirect {
		budget, _ := s.p.cfg.indirectBudget(fn.name)
		consider(i.depth+budget, deepCall{i.pc, nil, fmt.Sprintf("(C, %d bytes assumed)", budget)})
	}
	delete(s.onPath, fn)
	s.totals[fn], s.worst[fn] = most, worst
	return most
}

// recursion reports the cycle that ends in fn.
func (s *stackSummer) recursion(fn *function, path []caller) {
	var steps []Step
	var cycle []string
	for _, c := range path {
		if c.fn == fn || len(cycle) > 0 {
			cycle = append(cycle, c.fn.name)
		}
		steps = append(steps, Step{c.fn.name, s.p.img.where(c.pc)})
	}
	steps = append(steps, Step{Func: fn.name})
	s.p.violation(Violation{
		Kind:  Recursion,
		What:  strings.Join(append(cycle, fn.name), " calls "),
		Where: s.p.img.where(path[len(path)-1].pc),
		Path:  steps,
	}, strings.Join(cycle, " "))
}

// deepest is the path that uses the most stack. Each step shows what the function itself adds.
func (s *stackSummer) deepest(fn *function) []Step {
	var steps []Step
	for fn != nil {
		w := s.worst[fn]
		step := Step{Func: fmt.Sprintf("%-5d %s", s.totals[fn]+8, fn.name)}
		if w.pc != 0 {
			step.Where = s.p.img.where(w.pc)
		}
		steps = append(steps, step)
		if w.text != "" {
			steps = append(steps, Step{Func: "      " + w.text})
		}
		fn = w.callee
	}
	return steps
}
