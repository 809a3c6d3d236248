package main

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
)

// image is the code of an object file with its functions. .text starts at address 0.
type image struct {
	path   string
	text   []byte
	funcs  []*function // by address; where symbols share an address, the first
	byName map[string]*function
	// leaves holds the places of relocations against symbols outside .text, to which a call may lead.
	leaves []uint64
}

type function struct {
	name string
	addr uint64
	size uint64
}

func load(path string) (*image, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	text := f.Section(".text")
	if f.Type != elf.ET_REL || f.Machine != elf.EM_X86_64 || text == nil {
		return nil, fmt.Errorf("%s: want an object file for x86-64 with a .text", path)
	}
	img := &image{path: path, byName: map[string]*function{}}
	if img.text, err = text.Data(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	symbols, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	img.readFunctions(f, text, symbols)
	for _, s := range f.Sections {
		if s.Type != elf.SHT_RELA || int(s.Info) >= len(f.Sections) || f.Sections[s.Info] != text {
			continue
		}
		if err := img.readRelocations(f, text, s, symbols); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	slices.Sort(img.leaves)
	return img, nil
}

func (img *image) readFunctions(f *elf.File, text *elf.Section, symbols []elf.Symbol) {
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Size == 0 || int(s.Section) >= len(f.Sections) || f.Sections[s.Section] != text {
			continue
		}
		if s.Value+s.Size > uint64(len(img.text)) {
			continue
		}
		fn := &function{name: s.Name, addr: s.Value, size: s.Size}
		img.funcs = append(img.funcs, fn)
		if img.byName[s.Name] == nil {
			img.byName[s.Name] = fn
		}
	}
	slices.SortStableFunc(img.funcs, func(a, b *function) int { return cmp.Compare(a.addr, b.addr) })
	img.funcs = slices.CompactFunc(img.funcs, func(a, b *function) bool { return a.addr == b.addr })
}

// readRelocations notes the places that lead out of .text. Calls within it are resolved in the object already.
func (img *image) readRelocations(f *elf.File, text, rela *elf.Section, symbols []elf.Symbol) error {
	data, err := rela.Data()
	if err != nil {
		return fmt.Errorf("%s: %w", rela.Name, err)
	}
	for ; len(data) >= 24; data = data[24:] {
		i := int(binary.LittleEndian.Uint32(data[12:])) - 1
		if i < 0 || i >= len(symbols) {
			continue
		}
		place := binary.LittleEndian.Uint64(data)
		if n := int(symbols[i].Section); n >= len(f.Sections) || f.Sections[n] != text {
			img.leaves = append(img.leaves, place)
		} else if op := img.text[max(place, 1)-1]; op == 0xe8 || op == 0xe9 {
			return fmt.Errorf("a call at %#x goes through a relocation within .text, which was not foreseen", place-1)
		}
	}
	return nil
}

// find looks up a function by its Go or C name; assembly has .abi0 appended to its name, and is preferred to
// Go's wrapper of it.
func (img *image) find(names ...string) (*function, error) {
	for _, name := range names {
		for _, n := range []string{name + ".abi0", name} {
			if fn := img.byName[n]; fn != nil {
				return fn, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: no function %s", img.path, names[0])
}

// at finds the function that holds addr, or nil.
func (img *image) at(addr uint64) *function {
	i, found := slices.BinarySearchFunc(img.funcs, addr, func(fn *function, a uint64) int { return cmp.Compare(fn.addr, a) })
	if !found {
		i--
	}
	if i < 0 || !img.funcs[i].holds(addr) {
		return nil
	}
	return img.funcs[i]
}

func (fn *function) holds(addr uint64) bool { return addr >= fn.addr && addr < fn.addr+fn.size }

// leads tells whether the n bytes at addr hold a relocation that leads out of .text.
func (img *image) leads(addr uint64, n int) bool {
	i, _ := slices.BinarySearch(img.leaves, addr)
	return i < len(img.leaves) && img.leaves[i] < addr+uint64(n)
}
