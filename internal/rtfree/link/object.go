package main

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/vcmalloc/vcmalloc/internal/rtfree"
)

const (
	relaSize = 24 // sizeof(Elf64_Rela)
	jumpSize = 5  // jmp rel32
)

// object is an ELF object in memory, patched in place: no section moves or changes its size.
type object struct {
	path    string
	data    []byte
	file    *elf.File
	text    *elf.Section
	textNum elf.SectionIndex
	symbols []elf.Symbol
}

func open(path string) (*object, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	o := &object{path: path, data: data, file: f}
	if f.Type != elf.ET_REL || f.Machine != elf.EM_X86_64 {
		return nil, fmt.Errorf("%s: %v for %v, want an object file for x86-64", path, f.Type, f.Machine)
	}
	for i, s := range f.Sections {
		if s.Name == ".text" {
			o.text, o.textNum = s, elf.SectionIndex(i)
		}
	}
	if o.text == nil {
		return nil, fmt.Errorf("%s: no .text", path)
	}
	if o.symbols, err = f.Symbols(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return o, nil
}

// symbol finds a symbol by name; a function in assembly has .abi0 appended to its name, which may be omitted.
func (o *object) symbol(name string, typ elf.SymType) (elf.Symbol, error) {
	for _, n := range []string{name, name + ".abi0"} {
		for _, s := range o.symbols {
			if s.Name == n && elf.ST_TYPE(s.Info) == typ && s.Section != elf.SHN_UNDEF {
				return s, nil
			}
		}
	}
	return elf.Symbol{}, fmt.Errorf("%s: no symbol %s", o.path, name)
}

// renames returns objcopy's arguments that name the entry points and the g slot.
func (o *object) renames(opt options) ([]string, error) {
	var args []string
	var missing []error
	add := func(from, to string, typ elf.SymType) {
		s, err := o.symbol(from, typ)
		if err != nil {
			missing = append(missing, err)
			return
		}
		args = append(args, "--redefine-sym="+s.Name+"="+to, "--globalize-symbol="+to)
	}
	for _, e := range opt.entries {
		add(e.Go, e.C, elf.STT_FUNC)
	}
	add("runtime.tlsg", opt.tlsg, elf.STT_TLS)
	if len(missing) > 0 {
		missing = append(missing, errors.New("an entry point must be reachable from main and must not be inlined (//go:noinline)"))
	}
	return args, errors.Join(missing...)
}

// dataRelocations names the relocation sections that apply to loaded sections other than code.
func (o *object) dataRelocations() []string {
	var names []string
	for _, s := range o.file.Sections {
		if s.Type != elf.SHT_RELA || int(s.Info) >= len(o.file.Sections) {
			continue
		}
		target := o.file.Sections[s.Info]
		if target.Flags&elf.SHF_ALLOC != 0 && target.Flags&elf.SHF_EXECINSTR == 0 {
			names = append(names, s.Name)
		}
	}
	return names
}

// redirectPanics overwrites the first instruction of each panic function with a jump to the stub and returns
// their names.
func (o *object) redirectPanics(stub string) ([]string, error) {
	to, err := o.symbol(stub+".abi0", elf.STT_FUNC) // assembly itself rather than Go's wrapper of it
	if err != nil {
		if to, err = o.symbol(stub, elf.STT_FUNC); err != nil {
			return nil, err
		}
	}
	if to.Section != o.textNum {
		return nil, fmt.Errorf("%s: the stub %s is not in .text", o.path, stub)
	}
	var names []string
	var patched []elf.Symbol
	for _, s := range o.symbols {
		if s.Section != o.textNum || elf.ST_TYPE(s.Info) != elf.STT_FUNC || !rtfree.IsPanic(s.Name) {
			continue
		}
		if s.Size < jumpSize {
			return nil, fmt.Errorf("%s: %s has %d bytes, too few for a jump", o.path, s.Name, s.Size)
		}
		jump := o.data[o.text.Offset+s.Value:][:jumpSize]
		jump[0] = 0xe9
		binary.LittleEndian.PutUint32(jump[1:], uint32(int32(int64(to.Value)-int64(s.Value)-jumpSize)))
		names = append(names, strings.TrimPrefix(s.Name, "runtime."))
		patched = append(patched, s)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: the runtime has no panic functions of a known name", o.path)
	}
	return names, o.neutralise(patched)
}

// neutralise turns the relocations of patched functions into R_X86_64_NONE: what follows the jump is dead. Those
// within the jump would corrupt it; those behind may belong to an instruction whose first bytes the jump has
// taken, and the linker looks at them when it relaxes an access to thread-local storage.
func (o *object) neutralise(patched []elf.Symbol) error {
	slices.SortFunc(patched, func(a, b elf.Symbol) int { return cmp.Compare(a.Value, b.Value) })
	dead := func(place uint64) bool {
		i, found := slices.BinarySearchFunc(patched, place, func(s elf.Symbol, p uint64) int { return cmp.Compare(s.Value, p) })
		return found || i > 0 && place < patched[i-1].Value+patched[i-1].Size
	}
	for _, s := range o.file.Sections {
		if s.Type != elf.SHT_RELA || elf.SectionIndex(s.Info) != o.textNum {
			continue
		}
		if s.Size%relaSize != 0 {
			return fmt.Errorf("%s: %s has an odd size", o.path, s.Name)
		}
		for table := o.data[s.Offset:][:s.Size]; len(table) > 0; table = table[relaSize:] {
			if dead(binary.LittleEndian.Uint64(table)) {
				binary.LittleEndian.PutUint64(table[8:], uint64(elf.R_X86_64_NONE))
			}
		}
	}
	return nil
}
