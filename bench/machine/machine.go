package machine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Machine describes where the figures come from. Costs are filled by Probe; 0 means not measured.
type Machine struct {
	CPU        string            `json:"cpu"`
	Cores      int               `json:"cores"`
	MemoryMiB  int               `json:"memory_mib"`
	Caches     []string          `json:"caches"`
	NUMANodes  int               `json:"numa_nodes"`
	Kernel     string            `json:"kernel"`
	Libc       string            `json:"libc"`
	Hypervisor bool              `json:"hypervisor"`
	THP        map[string]string `json:"thp"`
	Counters   bool              `json:"counters"` // the hardware's performance counters can be had
	Load       string            `json:"load"`     // the load averages at the start

	FloorNanos     float64 `json:"floor_ns"`       // an empty malloc and free through the PLT
	Touch4KNanos   float64 `json:"touch_4k_ns"`    // first touch of a 4 KiB page
	TouchHugeNanos float64 `json:"touch_huge_ns"`  // first touch of a hugepage, whole; 0: it was not given one
	MmapNanos      float64 `json:"mmap_munmap_ns"` // mmap and munmap of a page, untouched
}

// Here describes this machine without measuring anything.
func Here() Machine {
	info := read("/proc/cpuinfo")
	m := Machine{
		CPU:        field(info, "model name"),
		Cores:      runtime.NumCPU(),
		Caches:     caches("/sys/devices/system/cpu/cpu0/cache"),
		Kernel:     read("/proc/sys/kernel/osrelease"),
		Hypervisor: strings.Contains(field(info, "flags"), "hypervisor"),
		THP:        map[string]string{},
		Load:       read("/proc/loadavg"),
	}
	if kb, err := strconv.Atoi(strings.TrimSuffix(field(read("/proc/meminfo"), "MemTotal"), " kB")); err == nil {
		m.MemoryMiB = kb / 1024
	}
	nodes, _ := filepath.Glob("/sys/devices/system/node/node[0-9]*")
	m.NUMANodes = len(nodes)
	for _, name := range []string{"enabled", "defrag"} {
		m.THP[name] = chosen(read("/sys/kernel/mm/transparent_hugepage/" + name))
	}
	if b, err := os.ReadFile("/lib/x86_64-linux-gnu/libc.so.6"); err == nil {
		const banner = "GNU C Library"
		if i := bytes.Index(b, []byte(banner)); i >= 0 {
			text, _, _ := bytes.Cut(b[i:min(i+120, len(b))], []byte(".\n"))
			m.Libc = string(text)
		}
	}
	return m
}

// Lines are the machine in words, for the head of a report.
func (m *Machine) Lines() []string {
	counters := "no counters here (perf_event_open is refused: CPI, LLC and dTLB figures are missing)"
	if m.Counters {
		counters = "hardware counters available"
	}
	kind := ""
	if m.Hypervisor {
		kind = ", in a virtual machine"
	}
	out := []string{
		fmt.Sprintf("%s, %d cores%s, %d MiB, %d NUMA node(s); caches %s", m.CPU, m.Cores, kind, m.MemoryMiB, m.NUMANodes, strings.Join(m.Caches, ", ")),
		fmt.Sprintf("Linux %s, %s; transparent hugepages: %s (defrag %s); %s", m.Kernel, m.Libc, m.THP["enabled"], m.THP["defrag"], counters),
		"load averages at the start: " + m.Load,
	}
	if m.FloorNanos > 0 {
		out = append(out, fmt.Sprintf("floor: an empty malloc and free through the PLT cost %.2f ns a pair", m.FloorNanos))
	}
	if m.Touch4KNanos > 0 {
		line := fmt.Sprintf("first touch of a 4 KiB page: %.0f ns", m.Touch4KNanos)
		if m.TouchHugeNanos > 0 {
			line += fmt.Sprintf("; of a 2 MiB hugepage: %.0f ns, %.0f ns per 4 KiB", m.TouchHugeNanos, m.TouchHugeNanos/512)
		} else {
			line += "; no hugepage was to be had"
		}
		out = append(out, line+fmt.Sprintf("; mmap and munmap of an untouched page: %.0f ns", m.MmapNanos))
	}
	return out
}

func read(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// field finds "name : value" in the style of /proc/cpuinfo and /proc/meminfo.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// chosen is the word in brackets of "always [madvise] never".
func chosen(text string) string {
	_, rest, ok := strings.Cut(text, "[")
	word, _, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		return "unknown"
	}
	return word
}

func caches(dir string) []string {
	var out []string
	entries, _ := filepath.Glob(filepath.Join(dir, "index[0-9]*"))
	for _, e := range entries {
		level, size := read(filepath.Join(e, "level")), read(filepath.Join(e, "size"))
		kind := map[string]string{"Data": "d", "Instruction": "i"}[read(filepath.Join(e, "type"))]
		out = append(out, fmt.Sprintf("L%s%s %s (cpus %s)", level, kind, size, read(filepath.Join(e, "shared_cpu_list"))))
	}
	return out
}
