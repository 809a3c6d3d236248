package topology

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// Each machine's tree, and the domains it must give: online CPUs, and offline ones where they are guessed.
func TestMachines(t *testing.T) {
	for _, m := range []struct {
		name  string
		build func(*tree)
		want  string
	}{
		{"one CPU", func(f *tree) {
			f.cpus("0", "0").nodes("0").caches("0", "", "")
		}, "0"},
		{"VM with two CPUs and one L3", func(f *tree) {
			f.cpus("0-1", "0-1").nodes("0-1").caches("0-1", "", "0-1")
		}, "0-1"},
		{"VM with an L3 per virtual CPU", func(f *tree) {
			f.cpus("0-7", "0-7").nodes("0-7").caches("0-7", "", "")
		}, "0-7"},
		{"VM with two nodes and a private L3 per pair of threads", func(f *tree) {
			f.cpus("0-7", "0-7").nodes("0-3", "4-7")
			for _, core := range []string{"0-1", "2-3", "4-5", "6-7"} {
				f.caches(core, core, core).threads(core)
			}
		}, "0-3;4-7@1"},
		{"VM without caches", func(f *tree) {
			f.cpus("0-15", "0-15").nodes("0-15")
		}, "0-15"},
		{"VM without caches, with two nodes", func(f *tree) {
			f.cpus("0-15", "0-15").nodes("0-7", "8-15")
		}, "0-7;8-15@1"},
		{"kernel without NUMA", func(f *tree) {
			f.cpus("0-3", "0-3").caches("0-3", "", "0-3")
		}, "0-3"},
		{"two sockets of Intel, threads numbered apart", func(f *tree) {
			f.cpus("0-15", "0-15").nodes("0-3,8-11", "4-7,12-15")
			f.caches("0-3,8-11", "", "0-3,8-11").caches("4-7,12-15", "", "4-7,12-15")
		}, "0-3,8-11;4-7,12-15@1"},
		{"two sockets of Intel with SNC-4: one L3 per socket in sysfs", func(f *tree) {
			f.cpus("0-31", "0-31").nodes("0-3", "4-7", "8-11", "12-15", "16-19", "20-23", "24-27", "28-31")
			f.caches("0-15", "", "0-15").caches("16-31", "", "16-31")
		}, "0-3;4-7@1;8-11@2;12-15@3;16-19@4;20-23@5;24-27@6;28-31@7"},
		{"SNC-4 with interleaved numbers", func(f *tree) {
			f.cpus("0-7", "0-7").nodes("0,4", "1,5", "2,6", "3,7").caches("0-7", "", "0-7")
		}, "0,4;1,5@1;2,6@2;3,7@3"},
		{"AMD, one node of two CCX", func(f *tree) {
			f.cpus("0-15", "0-15").nodes("0-15")
			for c := range 8 {
				f.threads(fmt.Sprintf("%d,%d", c, c+8))
			}
			f.caches("0-3,8-11", "", "0-3,8-11").caches("4-7,12-15", "", "4-7,12-15")
		}, "0-3,8-11;4-7,12-15"},
		{"AMD with a CCX of one core among others", func(f *tree) {
			f.cpus("0-9", "0-9").nodes("0-9").threads("8-9")
			f.caches("0-3", "", "0-3").caches("4-7", "", "4-7").caches("8-9", "8-9", "8-9")
		}, "0-3;4-7;8-9"},
		{"hybrid: P and E clusters under one L3", func(f *tree) {
			f.cpus("0-11", "0-11").threads("0-1").threads("2-3")
			f.caches("0-1", "0-1", "0-11").caches("2-3", "2-3", "0-11").caches("4-7", "4-7", "0-11").caches("8-11", "8-11", "0-11")
		}, "0-11"},
		{"hybrid: low-power cores first, outside the L3", func(f *tree) {
			f.cpus("0-7", "0-7").caches("0-1", "0-1").threads("2-3").threads("4-5")
			f.threads("0").threads("1").caches("2-7", "", "2-7")
		}, "0-1;2-7"},
		{"hybrid: low-power cores last, L2s of their own", func(f *tree) {
			f.cpus("0-5", "0-5").caches("0-3", "", "0-3").caches("4-5", "")
		}, "0-3;4-5"},
		{"Arm with L2 clusters and no L3", func(f *tree) {
			f.cpus("0-7", "0-7").caches("0-3", "0-3").caches("4-7", "4-7")
		}, "0-3;4-7"},
		{"Arm server with private L2s only", func(f *tree) {
			f.cpus("0-15", "0-15").nodes("0-7", "8-15").caches("0-15", "")
		}, "0-7;8-15@1"},
		{"Arm with clusters under a system-level cache", func(f *tree) {
			f.cpus("0-7", "0-7").caches("0-3", "0-3", "0-7").caches("4-7", "4-7", "0-7")
		}, "0-7"},
		{"L1 only", func(f *tree) {
			f.cpus("0-1", "0-1").caches("0-1")
		}, "0-1"},
		{"an L4", func(f *tree) {
			f.cpus("0-7", "0-7").caches("0-3", "", "0-3", "0-7").caches("4-7", "", "4-7", "0-7")
		}, "0-7"},
		{"nodes with gaps and a node of memory alone", func(f *tree) {
			f.cpus("0-3", "0-3").caches("0-1", "", "0-1").caches("2-3", "", "2-3")
			f.file("node/has_cpu", "3,17").file("node/online", "3,4,17")
			f.file("node/node3/cpulist", "0-1").file("node/node4/cpulist", "").file("node/node17/cpulist", "2-3")
		}, "0-1@3;2-3@17"},
		{"the only node with CPUs is not node 0", func(f *tree) {
			f.cpus("0-1", "0-1").nodes("", "0-1").caches("0-1", "", "0-1").remove("node/node1")
		}, "0-1@1"},
		{"offline holes: their folders vanish", func(f *tree) {
			f.cpus("0-15", "0-1,3,8,11-12").nodes("0-1,3,8,11-12")
			f.caches("0-1,3", "", "0-1,3").caches("8,11", "", "8,11").caches("12", "", "")
		}, "0-7;8-11;12-15"},
		{"the first CPUs are offline", func(f *tree) {
			f.cpus("0-7", "4-7").nodes("", "4-7").caches("4-5", "", "4-5").caches("6-7", "", "6-7")
		}, "0-5@1;6-7@1"},
		{"room for more CPUs than there are", func(f *tree) {
			f.cpus("0-239", "0-3").nodes("0-3").caches("0-1", "", "0-1").caches("2-3", "", "2-3")
		}, "0-1;2-239"},
		{"more CPUs online than possible", func(f *tree) {
			f.cpus("0-1", "0-3").caches("0-3", "", "0-3")
		}, "0-3"},
		{"no file of possible CPUs", func(f *tree) {
			f.file("cpu/online", "0-3").caches("0-3", "", "0-3")
		}, "0-3"},
		{"no file of online CPUs", func(f *tree) {
			f.file("cpu/possible", "0-3").caches("0-1", "", "0-1")
		}, "0-1;2-3"},
		{"old kernel without has_cpu", func(f *tree) {
			f.cpus("0-3", "0-3").nodes("0-1", "2-3").remove("node/has_cpu").caches("0-3", "", "0-3")
		}, "0-1;2-3@1"},
		{"a node without its list", func(f *tree) {
			f.cpus("0-3", "0-3").nodes("0-1", "2-3").remove("node/node1/cpulist").caches("0-3", "", "0-3")
		}, "0-3"},
		{"caches without a list fall back to the level below", func(f *tree) {
			f.cpus("0-7", "0-7").caches("0-3", "0-3", "0-7").caches("4-7", "4-7", "0-7")
			for c := range 8 {
				f.remove(fmt.Sprintf("cpu/cpu%d/cache/index3/shared_cpu_list", c))
			}
		}, "0-3;4-7"},
		{"caches without types", func(f *tree) {
			f.cpus("0-7", "0-7").caches("0-3", "", "0-3").caches("4-7", "", "4-7")
			for c := range 8 {
				f.remove(fmt.Sprintf("cpu/cpu%d/cache/index3/type", c))
			}
		}, "0-3;4-7"},
		{"lists without threads: more than one CPU is more than one core", func(f *tree) {
			f.cpus("0-3", "0-3").caches("0-1", "", "0-1").caches("2-3", "", "2-3")
		}, "0-1;2-3"},
		{"lists that contradict each other: the first counts", func(f *tree) {
			f.cpus("0-7", "0-7").caches("0", "", "0-3").caches("1-7", "", "2-7")
		}, "0-3;4-7"},
		{"lists that don't hold their own CPU", func(f *tree) {
			f.cpus("0-3", "0-3").caches("0-3", "", "4-7")
		}, "0-3"},
		{"two nodes that claim one CPU", func(f *tree) {
			f.cpus("0-3", "0-3").nodes("0-2", "1-3").caches("0-3", "", "0-3")
		}, "0-2;3@1"},
		{"caches shared with offline CPUs", func(f *tree) {
			f.cpus("0-7", "0-1,4-5").caches("0-1", "", "0-3").caches("4-5", "", "4-7")
		}, "0-3;4-7"},
	} {
		t.Run(m.name, func(t *testing.T) {
			f := newTree(t)
			m.build(f)
			if got := domains(f.read()); got != m.want {
				t.Errorf("%s, want %s", got, m.want)
			}
		})
	}
}

// big is the tree of a machine with 512 CPUs, 2 sockets, 16 CPUs (8 cores) per CCX. Only the CPUs of
// withCaches have a folder.
func big(t testing.TB, withCaches func(cpu int) bool) *tree {
	f := newTree(t).cpus("0-511", "0-511").nodes("0-127,256-383", "128-255,384-511")
	for c := range 256 {
		list, core := fmt.Sprintf("%d-%d,%d-%d", c/8*8, c/8*8+7, 256+c/8*8, 256+c/8*8+7), fmt.Sprintf("%d,%d", c, c+256)
		for _, cpu := range []int{c, c + 256} {
			if withCaches(cpu) {
				f.caches(fmt.Sprint(cpu), core, list)
			}
		}
	}
	return f
}

func TestABigMachineIsReadWithFewFiles(t *testing.T) {
	top := big(t, func(cpu int) bool { return cpu < 256 && cpu%8 == 0 }).read()
	var want []string
	for ccx := range 32 {
		s := fmt.Sprintf("%d-%d,%d-%d", ccx*8, ccx*8+7, 256+ccx*8, 256+ccx*8+7)
		if ccx >= 16 {
			s += "@1"
		}
		want = append(want, s)
	}
	if got := domains(top); got != strings.Join(want, ";") {
		t.Error(got)
	}
	if top.CPUs() != 512 || top.Nodes() != 2 || top.Limit() != 512 {
		t.Errorf("%d CPUs, %d nodes, limit %d", top.CPUs(), top.Nodes(), top.Limit())
	}
	// Two lists of CPUs, three files of nodes, four per cache and six more for the first.
	if top.scratch.opened > 2+3+4*32+8 {
		t.Errorf("%d files opened", top.scratch.opened)
	}
	t.Logf("%d files opened, %d bytes", top.scratch.opened, unsafe.Sizeof(*top))
}

func TestCPUsThatACacheNamesAreNotLookedAt(t *testing.T) {
	few := big(t, func(cpu int) bool { return cpu < 256 && cpu%8 == 0 }).read()
	all := big(t, func(cpu int) bool { return cpu < 16 || cpu >= 500 || cpu%8 == 0 }).read()
	if a, b := domains(few), domains(all); a != b || few.scratch.opened != all.scratch.opened {
		t.Errorf("%s (%d files)\n%s (%d files)", a, few.scratch.opened, b, all.scratch.opened)
	}
}

func TestThisMachine(t *testing.T) {
	top := new(Topology)
	if !top.Read(0) {
		t.Skip("no sysfs")
	}
	check(t, top, true)
	again := new(Topology)
	if !again.Read(cString(t, "")) || domains(again) != domains(top) {
		t.Error("an empty root is another machine")
	}
	t.Logf("%d CPUs, %d nodes, domains %s, %d files", top.CPUs(), top.Nodes(), domains(top), top.scratch.opened)
}

func TestNoTreeIsOneDomain(t *testing.T) {
	for _, root := range []string{t.TempDir(), "/does/not/exist", "/etc/passwd", strings.Repeat("/", 5000), strings.Repeat("x", 505)} {
		top := new(Topology)
		if top.Read(cString(t, root)) {
			t.Errorf("%.20s: something was read", root)
		}
		check(t, top, true)
		if top.Domains() != 1 || top.Nodes() != 1 || top.CPUs() != 0 || top.Limit() != 0 {
			t.Errorf("%.20s: %d domains", root, top.Domains())
		}
	}
}

func TestTheZeroTopologyIsOneDomain(t *testing.T) {
	top := new(Topology)
	check(t, top, true)
	if top.Domains() != 1 || top.Nodes() != 1 {
		t.Error(top.Domains(), top.Nodes())
	}
}

// Hotplug: reading again must leave nothing of what was.
func TestReadingAgainForgets(t *testing.T) {
	f := newTree(t).cpus("0-63", "0-63").nodes("0-31", "32-63").caches("0", "", "0-31").caches("32", "", "32-63")
	top := f.read()
	root := cString(t, f.root)
	f.cpus("0-7", "0-3").nodes("0-1", "2-3").caches("0-3", "", "0-3")
	top.Read(root)
	check(t, top, true)
	if got := domains(top); got != "0-1;2-7@1" {
		t.Error(got)
	}
	f.remove("cpu")
	if top.Read(root) || top.Domains() != 1 || top.Limit() != 0 {
		t.Errorf("%d domains of a machine that is gone", top.Domains())
	}
	if top.table != (*new(Topology)).table {
		t.Error("the table is not empty")
	}
}

func TestLongListsComeInPieces(t *testing.T) {
	var even, odd []string
	for c := 0; c < MaxCPUs; c += 2 {
		even, odd = append(even, fmt.Sprint(c)), append(odd, fmt.Sprint(c+1))
	}
	e, o := strings.Join(even, ","), strings.Join(odd, ",")
	f := newTree(t).cpus("0-8191", "0-8191").nodes(e, o)
	f.caches("0", "", e).caches("1", "", o)
	top := f.read()
	if top.Domains() != 2 || top.Nodes() != 2 || top.CPUs() != MaxCPUs {
		t.Fatalf("%d domains, %d nodes, %d CPUs", top.Domains(), top.Nodes(), top.CPUs())
	}
	for c := range int32(MaxCPUs) {
		if top.Domain(c) != DomainID(c%2) || top.Node(c) != NodeID(c%2) {
			t.Fatalf("CPU %d: domain %d, node %d", c, top.Domain(c), top.Node(c))
		}
	}
}

func TestDomainsInUseFollowTheMask(t *testing.T) {
	top := newTree(t).cpus("0-11", "0-11").caches("0-3", "", "0-3").caches("4-7", "", "4-7").caches("8-11", "", "8-11").read()
	for _, c := range []struct{ mask, used string }{
		{"", ""}, {"0", "0"}, {"1-3", "0"}, {"3-4", "0-1"}, {"0,8-9", "0,2"}, {"0-11", "0-2"}, {"5000", "0"},
	} {
		var mask, used Set
		used.Add(77)
		for _, n := range numbers(c.mask) {
			mask.Add(uint32(n))
		}
		if n := top.DomainsInUse(&mask, &used); ranges(members(&used)) != c.used || n != len(numbers(c.used)) {
			t.Errorf("%s: %d, %v", c.mask, n, members(&used))
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	f := newTree(t).cpus("0-3", "0-3").nodes("0-1", "2-3").caches("0-3", "", "0-3")
	root, text, top := cString(t, f.root), cString(t, "0,1;2@1"), new(Topology)
	if n := testing.AllocsPerRun(10, func() { top.Read(root); top.Override(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReadBig(b *testing.B) {
	root, top := cString(b, big(b, func(cpu int) bool { return cpu < 256 && cpu%8 == 0 }).root), new(Topology)
	for b.Loop() {
		top.Read(root)
	}
}

func BenchmarkReadThisMachine(b *testing.B) {
	top := new(Topology)
	for b.Loop() {
		top.Read(0)
	}
}
