// Package report shows people what package topology found: the processor's name, and a row for each domain.
// It is ordinary Go and no part of the core.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"unsafe"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/klauspost/cpuid/v2"
	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/topology"
)

// Report is a machine as the transfer caches see it.
type Report struct {
	Processor  Processor `json:"processor"`
	CPUs       int       `json:"cpus"` // online; 0 if sysfs told nothing
	Nodes      int       `json:"nodes"`
	Overridden bool      `json:"overridden"` // by VCMALLOC_TOPOLOGY
	Domains    []Domain  `json:"domains"`
}

// Processor is what the processor says of itself; sizes are in bytes, 0 or -1 if unknown.
type Processor struct {
	Name           string `json:"name"`
	Vendor         string `json:"vendor"`
	Cores          int    `json:"cores"`
	ThreadsPerCore int    `json:"threads_per_core"`
	Virtual        bool   `json:"virtual"`
	L1D            int    `json:"l1d"`
	L2             int    `json:"l2"`
	L3             int    `json:"l3"`
}

// Domain is one set of CPUs with a transfer cache of its own. CPUs and Allowed are CPU lists as sysfs writes
// them: those known to belong to it, and those of them that this process may run on.
type Domain struct {
	ID      int    `json:"id"`
	Nodes   []int  `json:"nodes"` // more than one only by an override
	CPUs    string `json:"cpus"`
	Allowed string `json:"allowed"`
}

// Read reports the machine whose tree is at root ("": this one's) with an override as VCMALLOC_TOPOLOGY has
// it ("": none). A bad override is an error that tells where; the report is then that of the machine.
func Read(root, override string) (*Report, error) {
	t := new(topology.Topology)
	if err := withNUL(root, t.Read); err != nil {
		return nil, err
	}
	var bad error
	err := withNUL(override, func(p uintptr) bool {
		at, fault := t.Override(p)
		if fault != topology.OK {
			bad = fmt.Errorf("VCMALLOC_TOPOLOGY=%s: character %d: want %s", override, at+1, fault.Want())
		}
		return fault == topology.OK
	})
	if err != nil {
		return nil, err
	}
	var allowed topology.Set
	if err := affinity(&allowed); err != nil {
		return nil, err
	}
	r := New(t, &allowed)
	r.Overridden = override != "" && bad == nil
	return r, bad
}

// New reports t; allowed are the CPUs that the process may run on.
func New(t *topology.Topology, allowed *topology.Set) *Report {
	r := &Report{Processor: processor(), CPUs: t.CPUs(), Nodes: t.Nodes(), Domains: make([]Domain, t.Domains())}
	cpus := make([]topology.Set, t.Domains())
	may := make([]topology.Set, t.Domains())
	nodes := make([]topology.Set, t.Domains())
	for c := range t.Limit() {
		cpu, d := int32(c), t.Domain(int32(c))
		if !t.Known(cpu) {
			continue
		}
		cpus[d].Add(uint32(c))
		nodes[d].Add(uint32(t.Node(cpu)))
		if allowed.Has(uint32(c)) {
			may[d].Add(uint32(c))
		}
	}
	for d := range r.Domains {
		r.Domains[d] = Domain{ID: d, Nodes: members(&nodes[d]), CPUs: list(&cpus[d]), Allowed: list(&may[d])}
	}
	return r
}

func processor() Processor {
	c := &cpuid.CPU
	return Processor{
		Name: c.BrandName, Vendor: c.VendorString, Cores: c.PhysicalCores, ThreadsPerCore: c.ThreadsPerCore,
		Virtual: c.VM(), L1D: c.Cache.L1D, L2: c.Cache.L2, L3: c.Cache.L3,
	}
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	name := r.Processor.Name
	if name == "" {
		name = "unknown processor"
	}
	if r.Processor.Virtual {
		name += ", virtual"
	}
	source := "sysfs"
	switch {
	case r.Overridden:
		source = "VCMALLOC_TOPOLOGY"
	case r.CPUs == 0:
		source = "none: sysfs can't be read"
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{"domain", "node", "CPUs", "allowed here"})
	for _, d := range r.Domains {
		node := ""
		for i, n := range d.Nodes {
			if i > 0 {
				node += ","
			}
			node += fmt.Sprint(n)
		}
		t.AppendRow(table.Row{d.ID, node, d.CPUs, d.Allowed})
	}
	_, err := fmt.Fprintf(w, "%s\n%d CPUs online, NUMA nodes: %d, last-level cache domains: %d (source: %s)\n%s\n",
		name, r.CPUs, r.Nodes, len(r.Domains), source, t.Render())
	return err
}

// affinity sets s to the CPUs that the process may run on.
func affinity(s *topology.Set) error {
	_, _, e := unix.RawSyscall(unix.SYS_SCHED_GETAFFINITY, uintptr(unix.Getpid()), unsafe.Sizeof(*s), uintptr(unsafe.Pointer(s)))
	if e != 0 {
		return fmt.Errorf("sched_getaffinity: %w", e)
	}
	return nil
}

// withNUL calls f with the address of s, ended by a NUL byte, in memory outside the Go heap: the core reads
// text by address, which checkptr allows nowhere else.
func withNUL(s string, f func(uintptr) bool) error {
	b, err := unix.Mmap(-1, 0, len(s)+1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	copy(b, s)
	f(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	return unix.Munmap(b)
}

// members are the set's numbers, ascending.
func members(s *topology.Set) []int {
	all := []int{}
	for i := s.Next(0); i < topology.MaxCPUs; i = s.Next(i + 1) {
		all = append(all, int(i))
	}
	return all
}

// list writes the set as sysfs does: 0-3,8.
func list(s *topology.Set) string {
	text := ""
	for first := s.Next(0); first < topology.MaxCPUs; {
		last := first
		for s.Has(last + 1) {
			last++
		}
		if text != "" {
			text += ","
		}
		text += fmt.Sprint(first)
		if last > first {
			text += fmt.Sprint("-", last)
		}
		first = s.Next(last + 1)
	}
	return text
}
