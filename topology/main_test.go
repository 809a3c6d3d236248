package topology

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// cString copies s, with a NUL, to the end of readable memory: a byte read behind it kills the test.
func cString(t testing.TB, s string) uintptr {
	t.Helper()
	page := uintptr(os.Getpagesize())
	n := (uintptr(len(s)) + page) &^ (page - 1)
	a, e := sys.Mmap(0, n+page, sys.ProtRead|sys.ProtWrite, sys.MapPrivate)
	if e != 0 {
		t.Fatal("mmap:", e)
	}
	t.Cleanup(func() { sys.Munmap(a, n+page) })
	if e := sys.Mprotect(a+n, page, sys.ProtNone); e != 0 {
		t.Fatal("mprotect:", e)
	}
	at := a + n - uintptr(len(s)) - 1
	for i := range len(s) {
		*(*byte)(sys.At(at + uintptr(i))) = s[i]
	}
	return at
}

// tree is a fake /sys/devices/system.
type tree struct {
	t    testing.TB
	root string
}

func newTree(t testing.TB) *tree { return &tree{t, t.TempDir()} }

// file writes text, with the newline that sysfs has, to a file of the tree.
func (f *tree) file(path, text string) *tree {
	f.t.Helper()
	path = filepath.Join(f.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
		f.t.Fatal(err)
	}
	return f
}

func (f *tree) remove(path string) *tree {
	if err := os.RemoveAll(filepath.Join(f.root, path)); err != nil {
		f.t.Fatal(err)
	}
	return f
}

func (f *tree) cpus(possible, online string) *tree {
	return f.file("cpu/possible", possible).file("cpu/online", online)
}

// nodes gives node i the CPUs lists[i]; an empty one is a node of memory alone.
func (f *tree) nodes(lists ...string) *tree {
	var online, cpu []int
	for i, l := range lists {
		online = append(online, i)
		if l != "" {
			cpu = append(cpu, i)
		}
		f.file(fmt.Sprintf("node/node%d/cpulist", i), l)
	}
	return f.file("node/online", ranges(online)).file("node/has_cpu", ranges(cpu))
}

// caches gives the CPUs of list an L1d and L1i each, and the further levels from 2 up that are named by who
// shares them, "" for nobody else. The directories of other CPUs that share are not made.
func (f *tree) caches(list string, shared ...string) *tree {
	for _, cpu := range numbers(list) {
		dir := fmt.Sprintf("cpu/cpu%d/cache/index", cpu)
		cache := func(i, level int, kind, list string) {
			if list == "" {
				list = fmt.Sprint(cpu)
			}
			d := dir + fmt.Sprint(i)
			f.file(d+"/level", fmt.Sprint(level)).file(d+"/type", kind).file(d+"/shared_cpu_list", list)
		}
		cache(0, 1, "Data", "")
		cache(1, 1, "Instruction", "")
		for i, list := range shared {
			cache(i+2, i+2, "Unified", list)
		}
	}
	return f
}

// threads says that the CPUs of list are one core.
func (f *tree) threads(list string) *tree {
	for _, cpu := range numbers(list) {
		f.file(fmt.Sprintf("cpu/cpu%d/topology/thread_siblings_list", cpu), list)
	}
	return f
}

// read reads the tree and checks what must hold of any.
func (f *tree) read() *Topology {
	f.t.Helper()
	top := new(Topology)
	if !top.Read(cString(f.t, f.root)) {
		f.t.Fatal("nothing was read")
	}
	check(f.t, top, true)
	return top
}

// check holds top against the invariants of doc.go. apart: no domain may span nodes.
func check(t testing.TB, top *Topology, apart bool) {
	t.Helper()
	used := map[DomainID]NodeID{}
	nodes := map[NodeID]bool{}
	for c := range int32(MaxCPUs) {
		d, n := top.Domain(c), top.Node(c)
		if int(d) >= top.Domains() {
			t.Fatalf("CPU %d is in domain %d of %d", c, d, top.Domains())
		}
		if top.Online(c) && !top.Known(c) {
			t.Fatalf("CPU %d is online and nothing is known of it", c)
		}
		if int(c) >= top.Limit() {
			if d != 0 || n != 0 || top.Known(c) {
				t.Fatalf("CPU %d above the limit %d is in domain %d, node %d", c, top.Limit(), d, n)
			}
			continue
		}
		if o, ok := used[d]; ok && o != n && apart {
			t.Fatalf("domain %d spans nodes %d and %d", d, o, n)
		}
		used[d] = n
		nodes[n] = true
	}
	if want := max(len(used), 1); top.Domains() != want {
		t.Fatalf("%d domains, %d have CPUs", top.Domains(), want)
	}
	if want := max(len(nodes), 1); top.Nodes() != want {
		t.Fatalf("%d nodes, %d have CPUs", top.Nodes(), want)
	}
	for _, c := range []int32{-1, -1 << 31, MaxCPUs, 1<<31 - 1} {
		if top.Domain(c) != 0 || top.Node(c) != 0 || top.Online(c) || top.Known(c) {
			t.Fatalf("CPU %d is none", c)
		}
	}
}

// domains writes the domains of the CPUs below the limit as an override would: lists, and @node if not 0.
func domains(top *Topology) string {
	lists := make([][]int, top.Domains())
	nodes := make([]NodeID, top.Domains())
	for c := range top.Limit() {
		d := top.Domain(int32(c))
		lists[d] = append(lists[d], c)
		nodes[d] = top.Node(int32(c))
	}
	var parts []string
	for d, l := range lists {
		s := ranges(l)
		if nodes[d] != 0 {
			s += fmt.Sprint("@", nodes[d])
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ";")
}

// ranges writes ascending numbers as sysfs does.
func ranges(n []int) string {
	var parts []string
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		if j > i {
			parts = append(parts, fmt.Sprintf("%d-%d", n[i], n[j]))
		} else {
			parts = append(parts, fmt.Sprint(n[i]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// numbers is the naive model of the list parser, for lists that are well formed.
func numbers(list string) []int {
	var all []int
	if list == "" {
		return nil
	}
	for part := range strings.SplitSeq(list, ",") {
		var first, last int
		if n, _ := fmt.Sscanf(part, "%d-%d", &first, &last); n == 1 {
			last = first
		}
		for c := first; c <= last; c++ {
			all = append(all, c)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func members(s *Set) []int {
	var all []int
	for i := s.Next(0); i < MaxCPUs; i = s.Next(i + 1) {
		all = append(all, int(i))
	}
	return all
}
