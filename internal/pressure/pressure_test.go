package pressure

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// tree writes files, by path, into a folder of the test.
func tree(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(w *Watch, dir string) Reading {
	path := append([]byte(dir), 0)
	defer runtime.KeepAlive(path)
	return w.Read(uintptr(unsafe.Pointer(&path[0])))
}

func TestRead(t *testing.T) {
	const m = 1 << 20
	psi := "some avg10=12.75 avg60=1.00 avg300=0.00 total=5\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=1\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Reading
	}{
		{"nothing", nil, Reading{}},
		{"pressure of the system only", map[string]string{"proc/pressure/memory": psi}, Reading{Stall: 12}},
		{"version 2, the root group", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.stat": "anon 5\n"}, Reading{}},
		{"version 2", map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "proc/pressure/memory": psi,
			"sys/fs/cgroup/memory.stat":           "anon 999\n",
			"sys/fs/cgroup/a/b/memory.stat":       "anon 52428800\nfile 1\n",
			"sys/fs/cgroup/a/b/memory.max":        "104857600\n",
			"sys/fs/cgroup/a/b/memory.high":       "94371840\n",
			"sys/fs/cgroup/a/b/memory.pressure":   "some avg10=40.00 avg60=0.00 avg300=0.00 total=0\n",
			"sys/fs/cgroup/a/memory.stat":         "anon 62914560\n",
			"sys/fs/cgroup/a/memory.max":          "max\n",
			"sys/fs/cgroup/a/memory.high":         "max\n",
			"sys/fs/cgroup/somebody/memory.max":   "1\n",
			"sys/fs/cgroup/a/b/cgroup.procs":      "1\n",
			"sys/fs/cgroup/a/b/c/memory.max":      "1\n",
			"sys/fs/cgroup/a/b/memory.swap.max":   "0\n",
			"sys/fs/cgroup/a/b/memory.oom.group":  "0\n",
			"sys/fs/cgroup/a/b/cgroup.subtree":    "\n",
			"sys/fs/cgroup/a/b/memory.swap.high":  "max\n",
			"sys/fs/cgroup/a/b/memory.min":        "0\n",
			"sys/fs/cgroup/a/b/memory.low":        "0\n",
			"sys/fs/cgroup/a/b/memory.events":     "low 0\n",
			"sys/fs/cgroup/a/b/memory.numa_stat":  "anon N0=1\n",
			"sys/fs/cgroup/a/b/memory.current":    "99999999\n",
			"sys/fs/cgroup/a/b/memory.swap.event": "high 0\n",
		}, Reading{Limit: 90 * m, Used: 50 * m, Stall: 40}},
		{"an ancestor is tighter", map[string]string{
			"proc/self/cgroup":              "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.stat": "anon 10485760\n", "sys/fs/cgroup/a/b/memory.max": "104857600\n",
			"sys/fs/cgroup/a/memory.stat": "anon 209715200\n", "sys/fs/cgroup/a/memory.max": "220200960\n",
			"sys/fs/cgroup/memory.stat": "anon 1\n",
		}, Reading{Limit: 210 * m, Used: 200 * m}},
		{"a container sees its own group as the root", map[string]string{
			"proc/self/cgroup":          "0::/outside/name\n",
			"sys/fs/cgroup/memory.stat": "anon 1048576\n", "sys/fs/cgroup/memory.max": "2097152\n", "sys/fs/cgroup/memory.high": "max\n",
		}, Reading{Limit: 2 * m, Used: m}},
		{"version 1", map[string]string{
			"proc/self/cgroup":                             "9:name=systemd:/\n4:memory:/x\n1:cpu:/\n0::/\n",
			"sys/fs/cgroup/memory/x/memory.stat":           "cache 7\nrss 1\ntotal_cache 9\ntotal_rss 3145728\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "4194304\n",
			"sys/fs/cgroup/memory/memory.stat":             "cache 7\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   "9223372036854771712\n",
		}, Reading{Limit: 4 * m, Used: 3 * m}},
		{"nonsense", map[string]string{
			"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.stat": "\xff\n", "sys/fs/cgroup/a/memory.max": "-1\n",
			"proc/pressure/memory": "some avg10=\n",
		}, Reading{}},
		{"a number too long", map[string]string{
			"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.stat": "anon 1\n", "sys/fs/cgroup/a/memory.max": strings.Repeat("9", 99) + "\n",
		}, Reading{}},
		{"a path too long", map[string]string{"proc/self/cgroup": "0::/" + strings.Repeat("a", 3000) + "\n"}, Reading{}},
	} {
		w := new(Watch)
		for range 2 { // a Watch is used again
			if got := read(w, tree(t, c.files)); got != c.want {
				t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
			}
		}
	}
}

func TestReadOfThisMachineIsSane(t *testing.T) {
	r := new(Watch).Read(0)
	if r.Stall > 100 || r.Limit != 0 && r.Used > r.Limit*2 {
		t.Errorf("%+v", r)
	}
}

func FuzzFiles(f *testing.F) {
	f.Add("0::/a\n", "anon 1\n", "5\n", "some avg10=1.5")
	f.Fuzz(func(t *testing.T, cgroup, stat, max, psi string) {
		read(new(Watch), tree(t, map[string]string{"proc/self/cgroup": cgroup, "sys/fs/cgroup/memory.stat": stat,
			"sys/fs/cgroup/memory.max": max, "proc/pressure/memory": psi}))
	})
}
