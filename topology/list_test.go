package topology

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// parseText is the parser over a whole text.
func parseText(text string) (*Set, bool) {
	s, l := new(Set), list{}
	for i := range len(text) {
		if !l.feed(text[i], s) {
			return s, false
		}
	}
	return s, text == "" || l.close(s)
}

// model is the naive parser: nil, false for what is no list; CPUs above the limit don't count.
func model(text string) ([]int, bool) {
	var all []int
	if text == "" {
		return nil, true
	}
	for part := range strings.SplitSeq(text, ",") {
		a, b, ranged := strings.Cut(part, "-")
		first, ok := modelNumber(a)
		last := first
		if ok && ranged {
			last, ok = modelNumber(b)
		}
		if !ok || first > last {
			return nil, false
		}
		for c := first; c <= min(last, MaxCPUs-1); c++ {
			all = append(all, c)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), true
}

func modelNumber(s string) (int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > MaxCPUs {
		n = MaxCPUs
	}
	return n, true
}

func compare(t *testing.T, text string) {
	t.Helper()
	got, ok := parseText(text)
	want, wantOK := model(text)
	if ok != wantOK || ok && !slices.Equal(members(got), want) {
		t.Fatalf("%q: %v %v, want %v %v", text, members(got), ok, want, wantOK)
	}
	if got.Count() != len(members(got)) || int(got.end()) != 1+slices.Max(append(members(got), -1)) {
		t.Fatalf("%q: %d members, end %d", text, got.Count(), got.end())
	}
}

func TestListsAgainstTheModel(t *testing.T) {
	for _, text := range append([]string{"0", "0-3,8-11,512-1023", "0-8191", "63-64", "5,3,4-9", "8191", "8191-8192", "8192-9000", "00012"}, nonsense...) {
		compare(t, text)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		var b strings.Builder
		for range rng.IntN(6) {
			if rng.IntN(8) == 0 {
				b.WriteByte("0123456789,-, \n:@;"[rng.IntN(18)])
				continue
			}
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			first := rng.IntN(1 << rng.IntN(15))
			b.WriteString(strconv.Itoa(first))
			if rng.IntN(2) == 0 {
				b.WriteString("-" + strconv.Itoa(first+rng.IntN(300)-10))
			}
		}
		compare(t, b.String())
	}
}

func TestSets(t *testing.T) {
	var s Set
	if s.Next(0) != MaxCPUs || s.Count() != 0 || s.end() != 0 || s.Has(0) || s.Has(MaxCPUs) || s.Next(1<<31) != MaxCPUs {
		t.Error("the zero set is not empty")
	}
	s.Add(MaxCPUs)
	s.Add(1 << 31)
	if s.Count() != 0 {
		t.Error("a number that no set holds")
	}
	s.Add(64)
	s.Add(MaxCPUs - 1)
	if got := members(&s); !slices.Equal(got, []int{64, MaxCPUs - 1}) || s.end() != MaxCPUs || s.Next(65) != MaxCPUs-1 {
		t.Error(got)
	}
	all := Set{}
	all.addRange(0, 1<<31)
	if all.Count() != MaxCPUs || !s.subset(&all) || all.subset(&s) {
		t.Error(all.Count())
	}
	if s.Clear(); s != (Set{}) {
		t.Error("not cleared")
	}
}

// Whatever a list holds: no crash, nothing out of range, and what the model says.
func FuzzList(f *testing.F) {
	for _, s := range append([]string{"0-3,8-11,512-1023", "0"}, nonsense...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, ",") > 200 {
			return // the model is slow
		}
		compare(t, text)
	})
}

// Whatever the files hold, reading ends and the invariants hold.
func FuzzRead(f *testing.F) {
	f.Add("0-3", "0-3", "0-1", "0-1", "3", "Unified", "0-3", "0")
	f.Add("0-7", "0,2-3", "1", "0-8191", "9999999", "I", "x", "")
	f.Add("", "8191", "1023", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, possible, online, nodes, cpulist, level, kind, shared, threads string) {
		tree := newTree(t).cpus(possible, online).file("node/has_cpu", nodes).file("node/node1/cpulist", cpulist)
		tree.file("cpu/cpu0/cache/index0/level", level).file("cpu/cpu0/cache/index0/type", kind)
		tree.file("cpu/cpu0/cache/index0/shared_cpu_list", shared).file("cpu/cpu0/topology/thread_siblings_list", threads)
		top := new(Topology)
		if !top.Read(cString(t, tree.root)) && (top.Domains() != 1 || top.Limit() != 0) {
			t.Fatal("nothing was read, yet something is there")
		}
		check(t, top, true)
		_ = os.RemoveAll(filepath.Join(tree.root, "cpu"))
	})
}
