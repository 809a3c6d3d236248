package rtfree

import (
	"debug/elf"
	"fmt"
	"regexp"
	"strings"
)

var (
	initFunc  = regexp.MustCompile(`^(init|init\.\d+|map\.init\.\d+)$`)
	jumpTable = regexp.MustCompile(`\.jump\d+$`)
)

// checkInit reports the init functions of core packages: initialisers of variables and func init.
func (p *prover) checkInit() {
	for _, fn := range p.img.funcs {
		pkg := p.cfg.corePackage(fn.name)
		if pkg == "" || !initFunc.MatchString(strings.TrimPrefix(fn.name, symbolPrefix(pkg))) {
			continue
		}
		p.violation(Violation{
			Kind:  PackageInit,
			What:  fn.name + ": nobody calls it",
			Where: p.img.where(fn.addr),
		}, fn.name)
	}
}

// checkStaticData reports the variables of core packages that hold relocations. Data that the compiler made
// for functions (their values, dictionaries, composite literals, jump tables) is judged by RelocatedData
// where code of the core uses it: functions that only the Go door calls may have what they like.
func (p *prover) checkStaticData() {
	for _, o := range p.img.objects {
		if o.size == 0 || !p.isVariable(o.name) {
			continue
		}
		for _, r := range p.img.dataRelocsIn(o.section, o.addr, o.size) {
			p.violation(Violation{
				Kind: StaticData,
				What: fmt.Sprintf("%s+%d in %s points to %s", o.name, r.place-o.addr,
					p.img.sections[o.section].Name, p.img.symbolName(r)),
			}, o.name)
		}
	}
}

// isVariable tells whether a symbol is a variable that the source of a core package declares.
func (p *prover) isVariable(symbol string) bool {
	pkg := p.cfg.corePackage(symbol)
	rest := strings.TrimPrefix(symbol, symbolPrefix(pkg))
	return pkg != "" && !strings.HasPrefix(rest, ".") && !strings.Contains(rest, "·") && !jumpTable.MatchString(rest)
}

// relocated describes the datum of a reference if relocations lie in it, and is "" if none do, or if
// checkStaticData reports it.
func (p *prover) relocated(d dataRef) string {
	if d.rel.symbol < 0 {
		return ""
	}
	sym := p.img.symbols[d.rel.symbol]
	if sym.Section == elf.SHN_UNDEF || int(sym.Section) >= len(p.img.sections) {
		return "a symbol of another object, " + sym.Name
	}
	section := p.img.sections[sym.Section]
	switch {
	case p.isVariable(sym.Name):
	case sym.Size > 0:
		for _, r := range p.img.dataRelocsIn(sym.Section, sym.Value, sym.Size) {
			return fmt.Sprintf("%s in %s, which points to %s", sym.Name, section.Name, p.img.symbolName(r))
		}
	case strings.HasPrefix(section.Name, ".data.rel.ro"): // types, function values: symbols without names of their own
		return fmt.Sprintf("%s%+d in %s", sym.Name, int64(sym.Value)+d.rel.addend, section.Name)
	}
	return ""
}

func (img *image) symbolName(r reloc) string {
	if r.symbol < 0 {
		return "an address"
	}
	return img.symbols[r.symbol].Name
}
