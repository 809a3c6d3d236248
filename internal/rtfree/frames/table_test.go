package main

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// row is what a table says from an address on.
type row struct {
	pc   uint64
	rule rule
}

// table is what .eh_frame or .debug_frame says of one range of addresses.
type table struct {
	begin, end uint64
	rows       []row
}

// at is the rule at an address in the range.
func (t *table) at(pc uint64) rule {
	i, found := slices.BinarySearchFunc(t.rows, pc, func(r row, pc uint64) int {
		if r.pc < pc {
			return -1
		}
		return min(int(r.pc-pc), 1)
	})
	if !found {
		i--
	}
	return t.rows[i].rule
}

// cie is a common information entry.
type cie struct {
	dataAlign int
	relative  bool // addresses are 4 bytes, relative to their place, instead of 8
	initial   []byte
}

// reader takes numbers off a section.
type reader struct {
	data []byte
	err  error
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.data) {
		r.err, r.data = fmt.Errorf("ends too early"), nil
		return make([]byte, n)
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) u8() int     { return int(r.bytes(1)[0]) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.bytes(4)) }

func (r *reader) uleb() int {
	n, shift := 0, 0
	for b := 0x80; b&0x80 != 0 && r.err == nil; shift += 7 {
		b = r.u8()
		n |= b & 0x7f << shift
	}
	return n
}

func (r *reader) sleb() int {
	n, shift, b := 0, 0, 0x80
	for ; b&0x80 != 0 && r.err == nil; shift += 7 {
		b = r.u8()
		n |= b & 0x7f << shift
	}
	if b&0x40 != 0 {
		n -= 1 << shift
	}
	return n
}

// readTables reads the descriptions that wanted chooses by their first address.
func readTables(section []byte, addr uint64, eh bool, wanted func(begin uint64) bool) (map[uint64]*table, error) {
	tables := map[uint64]*table{}
	cies := map[int]cie{}
	for at := 0; at+4 <= len(section); {
		size := int(binary.LittleEndian.Uint32(section[at:]))
		if size == 0 { // crtend.o ends .eh_frame
			break
		}
		r := &reader{data: section[at+4:][:size]}
		id := int(r.u32())
		switch {
		case eh && id == 0 || !eh && uint32(id) == 0xffffffff:
			cies[at] = readCIE(r)
		default:
			from := id
			if eh {
				from = at + 4 - id
			}
			c, ok := cies[from]
			if !ok {
				return nil, fmt.Errorf("at %#x: no CIE at %#x", at, from)
			}
			t := &table{}
			if c.relative {
				t.begin = addr + uint64(at) + 8 + uint64(int64(int32(r.u32())))
				t.end = t.begin + uint64(r.u32())
				r.bytes(r.uleb())
			} else {
				t.begin = binary.LittleEndian.Uint64(r.bytes(8))
				t.end = t.begin + binary.LittleEndian.Uint64(r.bytes(8))
			}
			if wanted(t.begin) {
				t.run(c, r)
				if tables[t.begin] != nil {
					return nil, fmt.Errorf("%#x is described twice", t.begin)
				}
				tables[t.begin] = t
			}
		}
		if r.err != nil {
			return nil, fmt.Errorf("at %#x: %w", at, r.err)
		}
		at += 4 + size
	}
	return tables, nil
}

func readCIE(r *reader) cie {
	c := cie{}
	r.u8() // version
	for b := r.u8(); b != 0 && r.err == nil; b = r.u8() {
		c.relative = c.relative || b == 'R'
	}
	r.uleb() // code alignment: 1
	c.dataAlign = r.sleb()
	r.uleb() // return address
	if c.relative {
		r.bytes(r.uleb())
	}
	c.initial = r.data
	return c
}

// run executes the call-frame program that is left in r, after the one of the CIE.
func (t *table) run(c cie, r *reader) {
	now := entryRule
	at := t.begin
	fail := func(op int) {
		if r.err == nil {
			r.err = fmt.Errorf("operation %#x for %#x", op, t.begin)
		}
	}
	execute := func(r *reader) {
		for len(r.data) > 0 && r.err == nil {
			op := r.u8()
			n := uint64(0)
			switch {
			case op == 0: // padding
				continue
			case op&0xc0 == cfaAdvance:
				n = uint64(op & 0x3f)
			case op == cfaAdvance1:
				n = uint64(r.u8())
			case op == cfaAdvance2:
				n = uint64(binary.LittleEndian.Uint16(r.bytes(2)))
			case op == cfaAdvance4:
				n = uint64(r.u32())
			case op == cfaDefine:
				now.cfaReg, now.cfaOffset = byte(r.uleb()), r.uleb()
			case op == cfaDefRegister:
				now.cfaReg = byte(r.uleb())
			case op == cfaDefOffset:
				now.cfaOffset = r.uleb()
			case op == 0x13: // DW_CFA_def_cfa_offset_sf
				now.cfaOffset = r.sleb() * c.dataAlign
			case op == 0x05 || op == cfaOffset|returnColumn: // of the return address
				if op == 0x05 && r.u8() != returnColumn || r.uleb()*c.dataAlign != -8 {
					fail(op)
				}
				now.ra = -1
			case op == cfaOffset|6:
				now.rbp = -r.uleb() * c.dataAlign
			case op == cfaRestore|6:
				now.rbp = 0
			case op == cfaRegister:
				if r.uleb() != returnColumn {
					fail(op)
				}
				now.ra = r.uleb()
			default:
				fail(op)
			}
			if n > 0 {
				t.add(at, now)
				at += n
			}
		}
	}
	initial := &reader{data: c.initial}
	execute(initial)
	execute(r)
	if r.err == nil {
		r.err = initial.err
	}
	t.add(at, now)
}

func (t *table) add(pc uint64, r rule) {
	if n := len(t.rows); n > 0 && t.rows[n-1].pc == pc {
		t.rows = t.rows[:n-1]
	}
	t.rows = append(t.rows, row{pc, r})
}
