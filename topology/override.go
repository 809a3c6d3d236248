package topology

import "github.com/vcmalloc/vcmalloc/internal/sys"

// Override replaces the domains by those that the NUL-terminated text names, VCMALLOC_TOPOLOGY's value:
// CPU lists separated by semicolons, each with an optional NUMA node, such as 0-3;4-7 or 0,2@0;1,3@1. It is
// taken literally: a domain may be a single CPU, span nodes or name CPUs that are not online. Without a node
// CPUs keep the one they have. Online CPUs that no list names make one more domain per node. An empty text
// changes nothing.
//
// A bad text changes nothing either: the results are then the position in it, from 0, and what is wrong
// there.
func (t *Topology) Override(text uintptr) (at int, fault Fault) {
	if text == 0 || sys.Byte(text) == 0 {
		return 0, OK
	}
	all := &t.scratch.shared
	all.Clear()
	for p := text; ; p++ {
		one := t.scratch.domain(p)
		p = one.end
		if one.fault != OK {
			return int(p - text), one.fault
		}
		for i := range all {
			if all[i]&t.scratch.list[i] != 0 {
				return int(one.begin - text), CPUTwice
			}
			all[i] |= t.scratch.list[i]
		}
		if sys.Byte(p) == 0 {
			break
		}
	}

	t.placed.Clear()
	t.domains = 0
	t.limit = max(t.limit, all.end())
	for p := text; ; p++ {
		one := t.scratch.domain(p)
		p = one.end
		for c := t.scratch.list.Next(0); c < MaxCPUs; c = t.scratch.list.Next(c + 1) {
			t.table[c].domain = DomainID(t.domains)
			if one.node < maxNodes {
				t.table[c].node = NodeID(one.node)
			}
			t.placed.Add(c)
		}
		t.domains++
		if sys.Byte(p) == 0 {
			break
		}
	}
	t.complete()
	return 0, OK
}

// Fault is what is wrong with an override.
type Fault uint8

// The faults. OK is none.
const (
	OK Fault = iota
	NoCPU
	HighCPU
	BackwardRange
	CPUTwice
	NoNode
	HighNode
	BadCharacter
)

// Want is what the text should have had there instead, to follow "want"; empty for OK.
func (f Fault) Want() string {
	// No switch: the compiler would make a table of pointers, which the core can't have.
	if f == NoCPU {
		return "a CPU number"
	}
	if f == HighCPU {
		return "a CPU number below 8192"
	}
	if f == BackwardRange {
		return "ranges that end at or above their start"
	}
	if f == CPUTwice {
		return "CPUs that are in no other domain"
	}
	if f == NoNode {
		return "a node number behind @"
	}
	if f == HighNode {
		return "a node number below 1024"
	}
	if f == BadCharacter {
		return "domains such as 0-3;4-7 or 0,2@0;1,3@1"
	}
	return ""
}

// spec is one domain of an override: its text from begin to end, its node or maxNodes for none, and, if it
// is bad at end, what is wrong there.
type spec struct {
	begin, end uintptr
	node       uint32
	fault      Fault
}

// domain reads the domain at p and sets list to its CPUs.
func (s *scratch) domain(p uintptr) spec {
	s.list.Clear()
	var l list
	d := spec{begin: p, end: p, node: maxNodes}
	for l.feed(sys.Byte(d.end), &s.list) {
		d.end++
		if l.n >= MaxCPUs {
			d.end--
			d.fault = HighCPU
			return d
		}
	}
	switch {
	case !l.digits:
		d.fault = NoCPU
		return d
	case l.low() > l.n:
		d.fault = BackwardRange
		return d
	}
	l.close(&s.list)
	if sys.Byte(d.end) == '@' {
		d.end++
		d.number()
	}
	if c := sys.Byte(d.end); d.fault == OK && c != ';' && c != 0 {
		d.fault = BadCharacter
	}
	return d
}

// number reads the node's number at end.
func (d *spec) number() {
	begin, n := d.end, uint32(0)
	for c := sys.Byte(d.end); c >= '0' && c <= '9'; c = sys.Byte(d.end) {
		if n = n*10 + uint32(c-'0'); n >= maxNodes {
			d.fault = HighNode
			return
		}
		d.end++
	}
	if d.end == begin {
		d.fault = NoNode
		return
	}
	d.node = n
}
