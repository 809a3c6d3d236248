package topology

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var nonsense = []string{
	"", "\n\n", "garbage", "-1", "0-", "-", ",", "0,,1", "0-3-5", "3-1", "99999999999999999999", "0-99999999999999999999",
	"0x3", " 0-1", "0-1 ", "\x00", "0-1\x00", "\xff\xfe", "0-31:2/4", strings.Repeat("9", 5000), strings.Repeat("0-8191,", 5000), "8192", "100000",
}

// Every file of a good tree in turn holds nonsense, is missing, or is a folder.
func TestOneBadFileNeverMatters(t *testing.T) {
	build := func() *tree {
		return newTree(t).cpus("0-3", "0-3").nodes("0-1", "2-3").caches("0-1", "0-1", "0-1").caches("2-3", "2-3", "2-3").threads("0").threads("1")
	}
	f := build()
	top := new(Topology)
	root := cString(t, f.root)
	var files []string
	err := filepath.WalkDir(f.root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 30 {
		t.Fatal(len(files), err)
	}
	for _, path := range files {
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range nonsense {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if !top.Read(root) {
				t.Fatalf("%s: %q: nothing was read", path, text)
			}
			checkFast(t, top)
		}
		if os.Remove(path) != nil || !top.Read(root) {
			t.Fatalf("%s missing: nothing was read", path)
		}
		checkFast(t, top)
		if os.Mkdir(path, 0o755) != nil || !top.Read(root) {
			t.Fatalf("%s a folder: nothing was read", path)
		}
		check(t, top, true)
		if os.Remove(path) != nil || os.WriteFile(path, good, 0o644) != nil {
			t.Fatal(path)
		}
	}
	if top.Read(root); domains(top) != "0-1;2-3@1" {
		t.Error(domains(top))
	}
}

// checkFast is check for the CPUs that a small tree can have.
func checkFast(t *testing.T, top *Topology) {
	t.Helper()
	if top.Limit() > 64 { // a list of nonsense that is a list
		check(t, top, true)
		return
	}
	for c := range int32(64) {
		if int(top.Domain(c)) >= top.Domains() || top.Online(c) && !top.Known(c) {
			t.Fatalf("CPU %d is in domain %d of %d", c, top.Domain(c), top.Domains())
		}
	}
}

// Trees of random lists: every invariant of doc.go must hold.
func TestRandomTrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 8
	list := func() string {
		var all []int
		for c := range n {
			if rng.IntN(3) > 0 {
				all = append(all, c)
			}
		}
		return ranges(all)
	}
	for range 25 {
		f := newTree(t).cpus(list(), "0,"+list()).nodes(list(), list(), list())
		for c := range n {
			if rng.IntN(4) > 0 {
				f.caches(fmt.Sprint(c), list(), list())
			}
			if rng.IntN(2) > 0 {
				f.file(fmt.Sprintf("cpu/cpu%d/topology/thread_siblings_list", c), list())
			}
		}
		f.read()
	}
}
