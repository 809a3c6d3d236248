package topology

import (
	"slices"
	"strings"
	"testing"
)

func TestGoodOverrides(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"0-3;4-7", "0-3;4-7"},
		{"0-7", "0-7"},
		{"0;1;2-7", "0;1;2-7"},
		{"7;0-6", "7;0-6"},
		{"0,2,4,6;1,3,5,7", "0,2,4,6;1,3,5,7"},
		{"0-3@0;4-7@1", "0-3;4-7@1"},
		{"0-7@5", "0-7@5"},
		{"0-1;2-3;4-7@1023", "0-1;2-3;4-7@1023"},
		{"0-3,0-3;4-7", "0-3;4-7"},
		{"000-03;0004-7", "0-3;4-7"},
		{"", "0-7"},
		{"0-1", "0-1;2-7"},         // the rest makes one
		{"6-7;0", "6-7;0;1-5"},     // the rest makes one
		{"0-7;8-9", "0-7;8-9"},     // CPUs that aren't there
		{"0-7;11", "0-7;8-11"},     // offline ones between: nothing is known; guessed below
		{"0-7;8191@3", "0-7;8191"}, // see below
	} {
		t.Run(c.text, func(t *testing.T) {
			top := newTree(t).cpus("0-7", "0-7").nodes("0-7").caches("0", "", "0-7").read()
			at, fault := top.Override(cString(t, c.text))
			if at != 0 || fault != OK || fault.Want() != "" {
				t.Fatalf("position %d: want %s", at, fault.Want())
			}
			check(t, top, false)
			switch c.text {
			case "0-7;11":
				if top.Domain(11) != 1 || top.Domain(9) != 0 || top.Known(9) || !top.Known(11) || top.Online(11) {
					t.Error(domains(top))
				}
			case "0-7;8191@3":
				if top.Domain(8191) != 1 || top.Node(8191) != 3 || top.Domain(8190) != 0 || top.Domains() != 2 || top.Nodes() != 2 {
					t.Error(top.Domain(8191), top.Node(8191))
				}
			default:
				if got := domains(top); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
			}
		})
	}
}

func TestOverridesKeepNodesUnlessTheyNameThem(t *testing.T) {
	top := newTree(t).cpus("0-7", "0-7").nodes("0-3", "4-7").read()
	if _, fault := top.Override(cString(t, "1-2;5-6")); fault != OK {
		t.Fatal(fault.Want())
	}
	if got := domains(top); got != "1-2;5-6@1;0,3;4,7@1" { // the rest makes one per node
		t.Error(got)
	}
	// A second one replaces the first, and may span nodes.
	if _, fault := top.Override(cString(t, "0-5;6-7@0")); fault != OK || top.Domains() != 2 || top.Nodes() != 2 {
		t.Error(domains(top))
	}
	if top.Node(3) != 0 || top.Node(5) != 1 || top.Node(7) != 0 || top.Domain(5) != 0 {
		t.Error(domains(top))
	}
}

func TestOverridesNeedNoSysfs(t *testing.T) {
	top := new(Topology)
	if _, fault := top.Override(cString(t, "0-3;8-11@1")); fault != OK || top.Domains() != 2 || top.Nodes() != 2 || top.CPUs() != 0 {
		t.Error(top.Domains(), top.Nodes())
	}
	check(t, top, false)
	if top.Domain(5) != 0 || top.Known(5) || top.Domain(9) != 1 || top.Limit() != 12 {
		t.Error("CPUs that nothing names")
	}
	if at, fault := top.Override(0); at != 0 || fault != OK || top.Domains() != 2 {
		t.Error("no text is not nothing")
	}
}

func TestBadOverridesChangeNothingAndTellWhere(t *testing.T) {
	for _, c := range []struct {
		text  string
		at    int
		fault Fault
	}{
		{";", 0, NoCPU},
		{";0", 0, NoCPU},
		{"0;", 2, NoCPU},
		{"0-3;;4-7", 4, NoCPU},
		{"0-3; 4-7", 4, NoCPU},
		{" 0", 0, NoCPU},
		{"x", 0, NoCPU},
		{"-1", 0, NoCPU},
		{"0-", 2, NoCPU},
		{"0,", 2, NoCPU},
		{"0,,1", 2, NoCPU},
		{"0-@1", 2, NoCPU},
		{"@1", 0, NoCPU},
		{"0-3:4-7", 3, BadCharacter},
		{"0-3;4-7\n", 7, BadCharacter},
		{"0-3-5", 3, BadCharacter},
		{"0x1", 1, BadCharacter},
		{"0@1,2", 3, BadCharacter},
		{"0@1@2", 3, BadCharacter},
		{"0@0-1", 3, BadCharacter},
		{"3-1", 3, BackwardRange},
		{"3-1,5", 3, BackwardRange},
		{"0;7-6@1", 5, BackwardRange},
		{"8192", 3, HighCPU},
		{"0-8192", 5, HighCPU},
		{"0;99999999999999999999999", 5, HighCPU},
		{"0@", 2, NoNode},
		{"0@;1", 2, NoNode},
		{"0@x", 2, NoNode},
		{"0@1024", 5, HighNode},
		{"0@99999999999999999999", 5, HighNode},
		{"0-3;3-7", 4, CPUTwice},
		{"0-3;4-7;0", 8, CPUTwice},
		{"0;0", 2, CPUTwice},
	} {
		t.Run(c.text, func(t *testing.T) {
			top := newTree(t).cpus("0-7", "0-7").nodes("0-3", "4-7").read()
			at, fault := top.Override(cString(t, c.text))
			if at != c.at || fault != c.fault || fault.Want() == "" {
				t.Errorf("position %d: %d (want %s); expected %d: %d", at, fault, fault.Want(), c.at, c.fault)
			}
			if got := domains(top); got != "0-3;4-7@1" {
				t.Error("changed to", got)
			}
			check(t, top, true)
		})
	}
}

// Whatever the value holds: no crash, a position inside it, and good texts say what domains() says of them.
func FuzzOverride(f *testing.F) {
	for _, s := range []string{"", "0-3;4-7", "0,2@0;1,3@1", "8191", "0;0", "1@1023;", "0-8191;", "9-1", "@", "0-\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text, _, _ = strings.Cut(text, "\x00")
		top := new(Topology)
		at, fault := top.Override(cString(t, text))
		check(t, top, false)
		if fault != OK {
			if at < 0 || at > len(text) || fault.Want() == "" || top.Domains() != 1 || top.Limit() != 0 {
				t.Fatalf("%q: position %d, fault %d", text, at, fault)
			}
			return
		}
		for d, part := range strings.Split(text, ";") {
			list, _, _ := strings.Cut(part, "@")
			want, ok := model(list)
			if !ok || text != "" && len(want) == 0 {
				t.Fatalf("%q was taken", text)
			}
			for _, c := range want {
				if int(top.Domain(int32(c))) != d || !top.Known(int32(c)) {
					t.Fatalf("%q: CPU %d in domain %d", text, c, top.Domain(int32(c)))
				}
			}
			if slices.Max(append(want, -1)) >= top.Limit() {
				t.Fatalf("%q: limit %d", text, top.Limit())
			}
		}
	})
}
