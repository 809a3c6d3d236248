package subject

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Subject is one allocator in one configuration. The zero value is not valid.
type Subject struct {
	Name    string   `json:"name"`
	Preload string   `json:"preload,omitempty"` // absolute path, or several with colons between: the allocator is the last
	Env     []string `json:"env,omitempty"`     // NAME=value
	About   string   `json:"about,omitempty"`   // package and version, or features
}

const libDir = "/usr/lib/x86_64-linux-gnu/"

// Peer is an allocator that Debian packages.
type Peer struct{ Name, Path, Package string }

// Peers known without a --peer option.
func Peers() []Peer {
	return []Peer{
		{"jemalloc", libDir + "libjemalloc.so.2", "libjemalloc2"},
		{"mimalloc", libDir + "libmimalloc.so.2", "libmimalloc2.0"},
		{"gperftools", libDir + "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"},
	}
}

// Glibc is the C library's own malloc.
func Glibc() Subject {
	return Subject{Name: "glibc", Preload: existing(libDir+"libc.so.6", "/lib64/libc.so.6"), About: "the system's"}
}

// Library is ours, at path.
func Library(path string) (Subject, error) {
	return fromPath("vcmalloc", path, "all features")
}

// WithFeatures is s with VCMALLOC_FEATURES and other settings (NAME=value), and a name of its own.
func (s Subject) WithFeatures(name, features string, env ...string) Subject {
	s.Name = name
	s.Env = append(append(slices.Clone(s.Env), "VCMALLOC_FEATURES="+features), env...)
	s.About = "features " + features
	return s
}

// Parse reads a --peer option, name=path.so.
func Parse(option string) (Subject, error) {
	name, path, ok := strings.Cut(option, "=")
	if !ok || name == "" || path == "" {
		return Subject{}, fmt.Errorf("--peer %q: want name=path.so", option)
	}
	return fromPath(name, path, path)
}

// Installed lists the packaged peers that are there, and the packages of those that are not.
func Installed() (have []Subject, missing []string) {
	for _, p := range Peers() {
		if s, err := fromPath(p.Name, p.Path, p.Package); err == nil {
			have = append(have, s)
		} else {
			missing = append(missing, p.Package)
		}
	}
	return have, missing
}

// Select picks the subjects named from all, in the order of all; no names pick all.
func Select(all []Subject, names []string) ([]Subject, error) {
	if len(names) == 0 {
		return all, nil
	}
	var out []Subject
	for _, s := range all {
		if slices.Contains(names, s.Name) {
			out = append(out, s)
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(out, func(s Subject) bool { return s.Name == n }) {
			return nil, fmt.Errorf("no allocator is called %q here; there are %s", n, strings.Join(Names(all), ", "))
		}
	}
	return out, nil
}

// Names of the subjects.
func Names(all []Subject) []string {
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].Name
	}
	return out
}

// Environ is what a program runs with under s: base without the variables that steer allocators, and with s's.
// The result has the same length in bytes for every subject (BENCH_PAD fills it up): the size of the environment
// moves the stack, and that alone can change a figure by some per cent.
func (s Subject) Environ(base []string) []string {
	var env []string
	for _, kv := range base {
		if !steers(kv) {
			env = append(env, kv)
		}
	}
	own := slices.Clone(s.Env)
	if s.Preload != "" {
		own = append(own, "LD_PRELOAD="+s.Preload)
	}
	used := 0
	for _, kv := range own {
		used += len(kv) + 1
	}
	const room = 1024
	return append(append(env, own...), "BENCH_PAD="+strings.Repeat("x", max(0, room-used)))
}

func steers(kv string) bool {
	for _, p := range []string{"LD_PRELOAD=", "MALLOC_", "VCMALLOC_", "MIMALLOC_", "TCMALLOC_", "GLIBC_TUNABLES=", "BENCH_PAD="} {
		if strings.HasPrefix(kv, p) {
			return true
		}
	}
	return false
}

func fromPath(name, path, about string) (Subject, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Subject{}, err
	}
	if _, err := os.Stat(abs); err != nil {
		return Subject{}, fmt.Errorf("allocator %s: %w", name, err)
	}
	return Subject{Name: name, Preload: abs, About: about}, nil
}

func existing(paths ...string) string {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}
