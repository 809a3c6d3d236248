package topology

type (
	// DomainID is a set of CPUs that share a last-level cache; dense from 0.
	DomainID uint16
	// NodeID is a NUMA node as the kernel numbers it: not dense.
	NodeID uint16
)

// place is where one CPU stands: both in one word, so that a lookup is one load and the table of a small
// machine touches one page.
type place struct {
	domain DomainID
	node   NodeID
}

// Topology is what is known of the machine's CPUs. The zero value knows nothing: one domain, one node. It
// holds no pointers and about 38 KiB, of which a small machine touches the first page of the table and the
// first words of the sets; it lives in static memory.
type Topology struct {
	limit   uint32 // CPUs at and above are not in the table
	domains uint32
	nodes   uint32
	online  Set // online when read
	placed  Set // CPUs whose domain is known, not guessed
	table   [MaxCPUs]place
	scratch scratch
}

// Domain is the last-level cache that serves cpu: below Domains for every argument. Numbers that are no CPU
// of the machine, such as -1 for unknown, are in domain 0.
func (t *Topology) Domain(cpu int32) DomainID {
	if c := uint32(cpu); c < t.limit && c < MaxCPUs {
		return t.table[c].domain
	}
	return 0
}

// Node is the NUMA node of cpu, 0 if it has none.
func (t *Topology) Node(cpu int32) NodeID {
	if c := uint32(cpu); c < t.limit && c < MaxCPUs {
		return t.table[c].node
	}
	return 0
}

// Online reports whether cpu was online when the topology was read.
func (t *Topology) Online(cpu int32) bool { return t.online.Has(uint32(cpu)) }

// Known reports whether Domain(cpu) is known rather than guessed: the CPU was online, or an override names it.
func (t *Topology) Known(cpu int32) bool { return t.placed.Has(uint32(cpu)) }

// Domains is how many domains there are, at least 1.
func (t *Topology) Domains() int { return int(max(t.domains, 1)) }

// Nodes is how many NUMA nodes have CPUs, at least 1.
func (t *Topology) Nodes() int { return int(max(t.nodes, 1)) }

// Limit is one above the highest CPU number the machine may ever use, 0 if unknown.
func (t *Topology) Limit() int { return int(t.limit) }

// CPUs is how many CPUs were online when the topology was read, 0 if unknown.
func (t *Topology) CPUs() int { return t.online.Count() }

// DomainsInUse sets used to the domains of the CPUs in mask, which is the affinity of a thread or the cpuset
// of a process, and returns how many they are.
func (t *Topology) DomainsInUse(mask, used *Set) int {
	used.Clear()
	for c := mask.Next(0); c < MaxCPUs; c = mask.Next(c + 1) {
		used.Add(uint32(t.Domain(int32(c))))
	}
	return used.Count()
}

// assign makes one domain of each node's CPUs among those of set that have none yet.
func (t *Topology) assign(set *Set) {
	for c := set.Next(0); c < MaxCPUs; c = set.Next(c + 1) {
		if t.placed.Has(c) {
			continue
		}
		node, d := t.table[c].node, DomainID(t.domains)
		t.domains++
		for o := c; o < MaxCPUs; o = set.Next(o + 1) {
			if t.table[o].node == node && !t.placed.Has(o) {
				t.table[o].domain = d
				t.placed.Add(o)
			}
		}
	}
}

// complete gives a domain to the online CPUs that have none, guesses those of the others, and counts nodes.
func (t *Topology) complete() {
	t.assign(&t.online)
	seen := &t.scratch.list
	seen.Clear()
	below := place{}
	if c := t.placed.Next(0); c < MaxCPUs {
		below = t.table[c]
	}
	for c := uint32(0); c < t.limit && c < MaxCPUs; c++ {
		if !t.placed.Has(c) {
			t.table[c] = below
			continue
		}
		below = t.table[c]
		seen.Add(uint32(below.node))
	}
	t.nodes = uint32(seen.Count())
}
