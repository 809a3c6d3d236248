package rtfree

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"golang.org/x/arch/x86/x86asm"
)

// Check proves the rules of the package comment about the core, or says where they are broken. An error
// means that it could not look: a file is missing or unreadable, an entry does not exist, a build fails.
func Check(cfg Config) (Report, error) {
	if cfg.Object == "" || len(cfg.Entries) == 0 || len(cfg.Core) == 0 {
		return Report{}, errors.New("rtfree: Config needs Object, Entries and Core")
	}
	img, err := loadImage(cfg.Object, nil)
	if err != nil {
		return Report{}, err
	}
	if !img.object {
		return Report{}, fmt.Errorf("%s: not an object file; want the go.o of a c-archive", cfg.Object)
	}
	var report Report
	p := &prover{cfg: &cfg, img: img, report: &report, reported: map[string]bool{}}
	if err := p.prove(); err != nil {
		return report, err
	}
	p.checkInit()
	p.checkStaticData()
	if cfg.Linked != "" {
		linked, err := loadImage(cfg.Linked, cfg.Entries)
		if err != nil {
			return report, err
		}
		linked.source = img
		p := &prover{cfg: &cfg, img: linked, report: &report, reported: p.reported, linked: true}
		if err := p.prove(); err != nil {
			return report, err
		}
	}
	if cfg.Dir != "" {
		if err := p.checkBarriers(); err != nil {
			return report, err
		}
	}
	return report, nil
}

// prover walks one image.
type prover struct {
	cfg      *Config
	img      *image
	report   *Report
	linked   bool            // the image went through the link tool
	reported map[string]bool // violations seen, shared between the images
	stub     *function       // nil without Config.PanicStub
	stack    stackSummer
}

func (p *prover) prove() error {
	entries := slices.Clone(p.cfg.Entries)
	if p.cfg.PanicStub != "" {
		stub := p.img.byName[p.cfg.PanicStub+".abi0"] // assembly itself rather than Go's wrapper of it
		if stub == nil {
			var err error
			if stub, err = p.find(p.cfg.PanicStub); err != nil {
				return err
			}
		}
		p.stub = stub
		entries = append(entries, Entry{Go: stub.name, C: "(failed checks)"})
	}
	p.stack.init(p)
	var missing []error
	for _, e := range entries {
		fn, err := p.find(e.Go)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		p.addEntry(e, fn)
	}
	return errors.Join(missing...)
}

// find looks up a function; assembly has .abi0 appended to its name, which the caller may omit.
func (p *prover) find(symbol string) (*function, error) {
	for _, name := range []string{symbol, symbol + ".abi0"} {
		if fn := p.img.byName[name]; fn != nil {
			return fn, nil
		}
	}
	return nil, fmt.Errorf("%s: no function %s (is it referred to from main, and not inlined?)", p.img.path, symbol)
}

func (p *prover) addEntry(e Entry, fn *function) {
	functions := p.walk(fn)
	depth := p.stack.total(fn, nil) + 8
	deepest := p.stack.deepest(fn)
	if fn == p.stub {
		depth, deepest = p.stack.stub+8, p.stack.stubPath
	}
	if limit := p.cfg.maxStack(); depth > limit {
		p.violation(Violation{
			Kind: Stack,
			What: fmt.Sprintf("%s uses %d bytes of stack, more than %d", fn.name, depth, limit),
			Path: deepest,
		}, fn.name)
	}
	for i := range p.report.Entries {
		if old := &p.report.Entries[i]; old.Go == e.Go { // seen in the object, now in the linked file
			if depth > old.Depth {
				old.Depth, old.Deepest = depth, deepest
			}
			return
		}
	}
	p.report.Entries = append(p.report.Entries, EntryReport{Entry: e, Depth: depth, Deepest: deepest, Functions: functions})
}

// flowOf analyses a function once.
func (p *prover) flowOf(fn *function) *flow {
	if fn.flow == nil {
		fn.flow = analyse(p.img, fn, func(callee *function) bool { return p.cfg.classify(callee.name) == panics })
	}
	return fn.flow
}

// caller is how the walk came to a function: by which call.
type caller struct {
	fn *function
	pc uint64
}

// walk visits every function reachable from entry, breadth first so that paths are shortest, checks each and
// returns their number.
func (p *prover) walk(entry *function) int {
	from := map[*function]caller{entry: {}}
	if p.cfg.classify(entry.name) != core {
		p.violation(Violation{Kind: Call, What: "entry " + entry.name + " is in no core package"}, entry.name)
	}
	for queue := []*function{entry}; len(queue) > 0; queue = queue[1:] {
		fn := queue[0]
		f := p.flowOf(fn)
		p.checkFunction(fn, f, from)
		for _, c := range f.calls {
			if !p.follow(fn, c, from) {
				continue
			}
			if _, seen := from[c.callee]; !seen {
				from[c.callee] = caller{fn, c.pc}
				queue = append(queue, c.callee)
			}
		}
	}
	return len(from)
}

// follow tells whether the walk goes into the target of a call, and reports it if it may not be called.
func (p *prover) follow(fn *function, c callSite, from map[*function]caller) bool {
	name := c.extern
	if name == "" && c.callee == nil {
		name = fmt.Sprintf("%#x, which is in no function", c.target)
	}
	if name != "" {
		p.violationAt(Call, fn, c.pc, from, "calls "+name, name)
		return false
	}
	kind := p.cfg.classify(c.callee.name)
	if kind != core && kind != panics {
		p.outside(c.callee.name)
	}
	switch kind {
	case core, helper:
		if c.target != c.callee.addr {
			p.violationAt(Call, fn, c.pc, from, fmt.Sprintf("jumps into the middle of %s", c.callee.name), c.callee.name)
		}
		return true
	case forbidden:
		p.violationAt(Call, fn, c.pc, from, "calls "+c.callee.name, c.callee.name)
	case panics:
		if p.linked && !p.patched(c.callee) {
			p.violationAt(Unpatched, fn, c.pc, from, c.callee.name+" does not jump to "+p.cfg.PanicStub, c.callee.name)
		}
	}
	return false
}

// patched tells whether a function starts with a jump to the stub.
func (p *prover) patched(fn *function) bool {
	inst, err := decode(p.img.code(fn, fn.addr))
	if err != nil || p.img.text[fn.addr-p.img.textAddr] != 0xe9 {
		return false
	}
	c := (&walker{img: p.img, fn: fn}).target(fn.addr, fn.addr+uint64(inst.Len), inst, inst.Args[0].(x86asm.Rel))
	return c.extern == "" && c.callee == p.stub && c.target == p.stub.addr
}

func (p *prover) checkFunction(fn *function, f *flow, from map[*function]caller) {
	for _, x := range f.faults {
		if x.kind == FakeG && listed(p.cfg.AllowTLS, fn.name) {
			continue
		}
		p.violationAt(x.kind, fn, x.pc, from, x.what, "")
	}
	for _, s := range f.indirect {
		if _, allowed := p.cfg.indirectBudget(fn.name); allowed && !s.jump {
			continue
		}
		what := "indirect call: " + s.text
		if s.jump {
			what = "indirect jump (a switch turned into a jump table?): " + s.text
		}
		p.violationAt(Indirect, fn, s.pc, from, what, "")
	}
	for _, d := range f.data {
		if what := p.relocated(d); what != "" {
			p.violationAt(RelocatedData, fn, d.pc, from, "uses "+what, "")
		}
	}
}

func (p *prover) outside(name string) {
	if i, found := slices.BinarySearch(p.report.Outside, name); !found {
		p.report.Outside = slices.Insert(p.report.Outside, i, name)
	}
}

// path leads from the entry to the place pc in fn, and on to offender if that is not empty.
func (p *prover) path(fn *function, pc uint64, from map[*function]caller, offender string) []Step {
	var path []Step
	if offender != "" {
		path = append(path, Step{Func: offender})
	}
	for fn != nil {
		path = append(path, Step{fn.name, p.img.where(pc)})
		fn, pc = from[fn].fn, from[fn].pc
	}
	slices.Reverse(path)
	return path
}

func (p *prover) violationAt(kind Kind, fn *function, pc uint64, from map[*function]caller, what, offender string) {
	key := fmt.Sprintf("%s %s %s", fn.name, p.img.where(pc), what)
	if p.reported[string(kind)+key] {
		return
	}
	p.violation(Violation{Kind: kind, What: what, Where: p.img.where(pc), Path: p.path(fn, pc, from, offender)}, key)
}

// violation reports one unless an equal one was reported. key tells them apart within a kind.
func (p *prover) violation(v Violation, key string) {
	key = string(v.Kind) + key
	if p.reported[key] {
		return
	}
	p.reported[key] = true
	v.File = p.img.path
	p.report.Violations = append(p.report.Violations, v)
	sort.SliceStable(p.report.Violations, func(i, j int) bool {
		return p.report.Violations[i].Kind < p.report.Violations[j].Kind
	})
}
