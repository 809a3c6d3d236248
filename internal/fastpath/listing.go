package fastpath

import (
	"debug/elf"
	"fmt"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// Counts of a path's instructions. A read-modify-write counts as a load and a store; prefetches count as neither.
type Counts struct {
	Instructions, Compares, Jumps, Loads, Stores int
}

// Listing is one function: its instructions as text, and the counts of its straight path.
type Listing struct {
	Name string
	Path Counts
	Text []string
}

// Read lists functions of the ELF file at path, which has a symbol table.
func Read(path string, names ...string) ([]Listing, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	var out []Listing
	for _, name := range names {
		l, err := list(f, symbols, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, l)
	}
	return out, nil
}

func list(f *elf.File, symbols []elf.Symbol, name string) (Listing, error) {
	l := Listing{Name: name}
	var s *elf.Symbol
	for i := range symbols {
		if symbols[i].Name == name && elf.ST_TYPE(symbols[i].Info) == elf.STT_FUNC {
			s = &symbols[i]
		}
	}
	if s == nil || s.Size == 0 {
		return l, fmt.Errorf("no such function")
	}
	section := f.Sections[s.Section]
	code := make([]byte, s.Size)
	if _, err := section.ReadAt(code, int64(s.Value-section.Addr)); err != nil {
		return l, err
	}
	straight := true
	for at := 0; at < len(code); {
		i, err := x86asm.Decode(code[at:], 64)
		if err != nil {
			return l, fmt.Errorf("at +%#x: %w", at, err)
		}
		end := at + i.Len
		l.Text = append(l.Text, fmt.Sprintf("+%-4x %s", at, text(f, symbols, s, i, s.Value+uint64(end))))
		if straight {
			l.Path.add(i)
			straight = i.Op != x86asm.RET
		}
		at = end
	}
	return l, nil
}

// text is the instruction in GNU syntax, with names for what lies elsewhere. end is the address behind it.
func text(f *elf.File, symbols []elf.Symbol, self *elf.Symbol, i x86asm.Inst, end uint64) string {
	for n, a := range i.Args {
		switch a := a.(type) {
		case x86asm.Rel:
			to := end + uint64(int64(a))
			if to-self.Value < self.Size {
				return fmt.Sprintf("%-8s +%x", strings.ToLower(i.Op.String()), to-self.Value)
			}
			return fmt.Sprintf("%-8s %s", strings.ToLower(i.Op.String()), place(f, symbols, to))
		case x86asm.Mem:
			if a.Base == x86asm.RIP {
				to := end + uint64(a.Disp)
				a.Disp = 0
				i.Args[n] = a
				return fmt.Sprintf("%s  # %s", columns(x86asm.GNUSyntax(i, 0, nil)), place(f, symbols, to))
			}
		}
	}
	return columns(x86asm.GNUSyntax(i, 0, nil))
}

func columns(s string) string {
	op, rest, _ := strings.Cut(s, " ")
	return strings.TrimSpace(fmt.Sprintf("%-8s %s", op, rest))
}

// place names an address by the symbol it lies in, or else by its section: addresses change with every build.
func place(f *elf.File, symbols []elf.Symbol, to uint64) string {
	best := ""
	for _, s := range symbols {
		t := elf.ST_TYPE(s.Info)
		if (t == elf.STT_FUNC || t == elf.STT_OBJECT) && s.Size > 0 && to-s.Value < s.Size {
			name := s.Name
			if to != s.Value {
				name += fmt.Sprintf("+%#x", to-s.Value)
			}
			if best == "" || name < best {
				best = name
			}
		}
	}
	if best != "" {
		return best
	}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && to-s.Addr < s.Size {
			return s.Name
		}
	}
	return "?"
}

func (c *Counts) add(i x86asm.Inst) {
	c.Instructions++
	switch i.Op {
	case x86asm.CMP, x86asm.TEST:
		c.Compares++
	case x86asm.LEA, x86asm.PREFETCHT0:
		return
	}
	if i.Op != x86asm.JMP && strings.HasPrefix(i.Op.String(), "J") {
		c.Jumps++
		return
	}
	for n, a := range i.Args {
		if _, ok := a.(x86asm.Mem); !ok {
			continue
		}
		writes := n == 0 && i.Op != x86asm.CMP && i.Op != x86asm.TEST
		if writes {
			c.Stores++
		}
		if !writes || i.Op != x86asm.MOV {
			c.Loads++
		}
	}
}

// String is the listing as the golden file has it.
func (l Listing) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: a hit executes %d instructions: %d compares, %d conditional jumps, %d loads, %d stores\n",
		l.Name, l.Path.Instructions, l.Path.Compares, l.Path.Jumps, l.Path.Loads, l.Path.Stores)
	for _, t := range l.Text {
		fmt.Fprintf(&b, "\t%s\n", t)
	}
	return b.String()
}
