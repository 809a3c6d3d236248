package topology

// Read replaces t by what sysfs tells. root is the address of a NUL-terminated path, for tests with a tree
// of their own; 0 or an empty path mean /sys/devices/system. It reports whether the system's CPUs could be
// read at all; if not, t is one domain on one node. Any other file may be missing or hold nonsense.
func (t *Topology) Read(root uintptr) bool {
	t.reset()
	s := &t.scratch
	s.root, s.opened, s.hint = root, 0, 0

	s.at("/cpu/possible")
	known := s.set(&s.list)
	if known {
		t.limit = s.list.end()
		t.online = s.list // in case nothing tells which of them run
	}
	s.at("/cpu/online")
	if s.set(&s.list) && s.list.end() > 0 {
		t.online, known = s.list, true
		t.limit = max(t.limit, s.list.end())
	}
	if !known || t.limit == 0 {
		return false
	}
	t.readNodes()
	for c := t.online.Next(0); c < MaxCPUs; c = t.online.Next(c + 1) {
		if t.placed.Has(c) || !s.lastLevel(c) || s.oneCore(c) {
			continue
		}
		for i := range s.shared {
			s.shared[i] &= t.online[i]
		}
		t.assign(&s.shared)
	}
	t.complete()
	return true
}

// reset makes t the zero Topology without touching more of the table than is in use.
func (t *Topology) reset() {
	clear(t.table[:min(t.limit, MaxCPUs)])
	t.online.Clear()
	t.placed.Clear()
	t.limit, t.domains, t.nodes = 0, 0, 0
}

// readNodes fills in the nodes of the table. A CPU that two nodes claim belongs to the first.
func (t *Topology) readNodes() {
	s := &t.scratch
	nodes, placed := &s.shared, &t.placed
	s.at("/node/has_cpu")
	if !s.set(nodes) || nodes.end() == 0 {
		s.at("/node/online")
		if !s.set(nodes) {
			return
		}
	}
	only := nodes.Count() == 1
	for n := nodes.Next(0); n < maxNodes; n = nodes.Next(n + 1) {
		cpus := &t.online
		if !only {
			s.at("/node/node").dec(n).str("/cpulist")
			if !s.set(&s.list) {
				continue
			}
			cpus = &s.list
		}
		for c := cpus.Next(0); c < t.limit; c = cpus.Next(c + 1) {
			if !placed.Has(c) {
				t.table[c].node = NodeID(n)
				placed.Add(c)
			}
		}
	}
	placed.Clear()
}

const (
	maxNodes   = 1 << 10 // the kernel's largest MAX_NUMNODES
	maxIndex   = 16      // caches of one CPU; x86 and Arm have 3 to 5
	maxLevel   = 100     // anything above is no level
	maxThreads = 8       // of one core, on any machine Linux runs on
)

// lastLevel sets shared to the CPUs that share cpu's last-level cache. It reports false if none is told.
// Caches are listed from the first level up and most CPUs of a machine are alike: start where the CPU
// before had its last level.
func (s *scratch) lastLevel(cpu uint32) bool {
	return s.search(cpu, s.hint) || s.hint > 0 && s.search(cpu, 0)
}

// search looks through cpu's caches from index first on.
func (s *scratch) search(cpu, first uint32) bool {
	best := uint32(0)
	for i := first; i < maxIndex; i++ {
		s.cache(cpu, i).str("/level")
		level, ok := s.number()
		if !ok {
			break
		}
		if level <= best || level > maxLevel {
			continue
		}
		s.cache(cpu, i).str("/type")
		if s.byte() == 'I' {
			continue
		}
		s.cache(cpu, i).str("/shared_cpu_list")
		if s.set(&s.list) && s.list.Has(cpu) {
			s.shared = s.list
			best, s.hint = level, i
		}
	}
	return best > 0
}

// oneCore reports whether the CPUs in shared, of which cpu is one, are threads of one core.
func (s *scratch) oneCore(cpu uint32) bool {
	switch n := s.shared.Count(); {
	case n == 1:
		return true
	case n > maxThreads:
		return false
	}
	s.at("/cpu/cpu").dec(cpu).str("/topology/thread_siblings_list")
	return s.set(&s.list) && s.shared.subset(&s.list)
}
