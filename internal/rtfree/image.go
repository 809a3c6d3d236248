package rtfree

import (
	"debug/elf"
	"debug/gosym"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sort"
)

// image is a binary laid out for analysis. In an object file, where every section starts at address zero,
// only .text is code and data are known by section and offset.
type image struct {
	path     string
	object   bool // not yet linked: sections have no addresses, references to data are relocations
	text     []byte
	textAddr uint64
	funcs    []*function // by address
	byName   map[string]*function
	lines    *gosym.Table // nil without .gopclntab
	// source is the image that this one was linked from. It has the lines: nothing refers to .gopclntab any
	// more, so that --gc-sections drops it. nil for the source itself.
	source *image
	// Of an object file only:
	textRelocs []reloc // by place
	dataRelocs []reloc // by section, then place
	objects    []object
	symbols    []elf.Symbol
	sections   []*elf.Section
}

// function is one function symbol. Two symbols may share an address; the first is kept.
type function struct {
	name string
	addr uint64
	size uint64
	flow *flow // its analysis, made on first use
}

// object is a named datum.
type object struct {
	name    string
	section elf.SectionIndex
	addr    uint64
	size    uint64
}

// reloc is an entry of a relocation section. place is relative to section.
type reloc struct {
	section elf.SectionIndex
	place   uint64
	symbol  int // index into image.symbols, -1 for none
	addend  int64
	typ     elf.R_X86_64
}

func loadImage(path string, entries []Entry) (*image, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	if f.Machine != elf.EM_X86_64 {
		return nil, fmt.Errorf("%s: %v, want x86-64", path, f.Machine)
	}
	text := f.Section(".text")
	if text == nil {
		return nil, fmt.Errorf("%s: no .text", path)
	}
	img := &image{path: path, object: f.Type == elf.ET_REL, textAddr: text.Addr, byName: map[string]*function{}, sections: f.Sections}
	if img.text, err = text.Data(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if img.symbols, err = f.Symbols(); err != nil {
		return nil, fmt.Errorf("%s: %w (it must not be stripped)", path, err)
	}
	goName := map[string]string{}
	for _, e := range entries {
		if e.C != "" {
			goName[e.C] = e.Go
		}
	}
	base := img.readSymbols(text, goName)
	if pcln := f.Section(".gopclntab"); pcln != nil {
		if data, err := pcln.Data(); err == nil {
			img.lines, _ = gosym.NewTable(nil, gosym.NewLineTable(data, base))
		}
	}
	if img.object {
		if err := img.readRelocs(f); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return img, nil
}

// readSymbols sorts the symbols into functions and objects and returns the address of Go's text.
func (img *image) readSymbols(text *elf.Section, goName map[string]string) (base uint64) {
	base = img.textAddr
	for _, s := range img.symbols {
		if s.Section == elf.SHN_UNDEF || int(s.Section) >= len(img.sections) {
			continue
		}
		if s.Name == "runtime.text" {
			base = s.Value
		}
		isText := img.sections[s.Section] == text
		switch elf.ST_TYPE(s.Info) {
		case elf.STT_FUNC, elf.STT_NOTYPE:
			if !isText || s.Size == 0 {
				continue
			}
			name := s.Name
			if n, ok := goName[name]; ok {
				name = n
			}
			img.funcs = append(img.funcs, &function{name: name, addr: s.Value, size: s.Size})
		case elf.STT_OBJECT:
			img.objects = append(img.objects, object{s.Name, s.Section, s.Value, s.Size})
		}
	}
	sort.SliceStable(img.funcs, func(i, j int) bool { return img.funcs[i].addr < img.funcs[j].addr })
	for _, fn := range img.funcs {
		if _, dup := img.byName[fn.name]; !dup {
			img.byName[fn.name] = fn
		}
	}
	return base
}

func (img *image) readRelocs(f *elf.File) error {
	for _, s := range f.Sections {
		if s.Type != elf.SHT_RELA || int(s.Info) >= len(f.Sections) {
			continue
		}
		target := f.Sections[s.Info]
		if target.Flags&elf.SHF_ALLOC == 0 {
			continue // debug information
		}
		data, err := s.Data()
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		for ; len(data) >= 24; data = data[24:] {
			info := binary.LittleEndian.Uint64(data[8:])
			r := reloc{
				section: elf.SectionIndex(s.Info),
				place:   binary.LittleEndian.Uint64(data),
				symbol:  int(info>>32) - 1,
				addend:  int64(binary.LittleEndian.Uint64(data[16:])),
				typ:     elf.R_X86_64(uint32(info)),
			}
			switch {
			case target.Name == ".text":
				img.textRelocs = append(img.textRelocs, r)
			case target.Name != ".init_array":
				img.dataRelocs = append(img.dataRelocs, r)
			}
		}
	}
	sort.Slice(img.textRelocs, func(i, j int) bool { return img.textRelocs[i].place < img.textRelocs[j].place })
	sort.Slice(img.dataRelocs, func(i, j int) bool {
		a, b := img.dataRelocs[i], img.dataRelocs[j]
		if a.section != b.section {
			return a.section < b.section
		}
		return a.place < b.place
	})
	return nil
}

// at finds the function that holds addr, or nil.
func (img *image) at(addr uint64) *function {
	i := sort.Search(len(img.funcs), func(i int) bool { return img.funcs[i].addr > addr })
	if i == 0 {
		return nil
	}
	fn := img.funcs[i-1]
	for i--; i > 0 && img.funcs[i-1].addr == fn.addr; i-- {
		fn = img.funcs[i-1]
	}
	if addr >= fn.addr+fn.size {
		return nil
	}
	return fn
}

// code returns the bytes from addr to the end of its function.
func (img *image) code(fn *function, addr uint64) []byte {
	lo, hi := addr-img.textAddr, fn.addr+fn.size-img.textAddr
	if lo > hi || hi > uint64(len(img.text)) {
		return nil
	}
	return img.text[lo:hi]
}

// relocsIn returns the relocations of .text whose place lies in [addr, addr+n).
func (img *image) relocsIn(addr uint64, n int) []reloc {
	lo := sort.Search(len(img.textRelocs), func(i int) bool { return img.textRelocs[i].place >= addr })
	hi := lo
	for hi < len(img.textRelocs) && img.textRelocs[hi].place < addr+uint64(n) {
		hi++
	}
	return img.textRelocs[lo:hi]
}

// dataRelocsIn returns the relocations in [addr, addr+n) of a data section.
func (img *image) dataRelocsIn(section elf.SectionIndex, addr, n uint64) []reloc {
	at := func(section elf.SectionIndex, addr uint64) int {
		return sort.Search(len(img.dataRelocs), func(i int) bool {
			r := img.dataRelocs[i]
			return r.section > section || r.section == section && r.place >= addr
		})
	}
	return img.dataRelocs[at(section, addr):at(section, addr+n)]
}

// where is the source position of an address: file:line, else symbol+offset.
func (img *image) where(addr uint64) string {
	fn := img.at(addr)
	if img.lines != nil && fn != nil {
		if file, line, _ := img.lines.PCToLine(addr); file != "" {
			return fmt.Sprintf("%s:%d", shorten(file), line)
		}
	}
	if fn == nil {
		return fmt.Sprintf("%#x", addr)
	}
	if img.source != nil && img.source.byName[fn.name] != nil {
		return img.source.where(img.source.byName[fn.name].addr + addr - fn.addr)
	}
	return fmt.Sprintf("%s+%#x", fn.name, addr-fn.addr)
}

// shorten keeps the last three elements of a path: enough to find a file of the core.
func shorten(file string) string {
	dir, name := filepath.Split(file)
	dir, b := filepath.Split(filepath.Clean(dir))
	return filepath.Join(filepath.Base(dir), b, name)
}
