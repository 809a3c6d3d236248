package ctest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// builder compiles each program once into one folder.
type builder struct {
	dir  string
	keep bool // the folder outlives the run: unchanged programs are not compiled again
	mu   sync.Mutex
	done map[string]*built
}

type built struct {
	once sync.Once
	path string
	err  error
}

var build = builder{done: map[string]*built{}}

// The optimiser is on, as in real programs, but must neither fold nor drop allocations.
var (
	commonFlags = []string{
		"-O1", "-g", "-pthread", "-D_GNU_SOURCE", "-Icommon",
		"-fno-builtin", "-fno-allocation-dce", "-fno-omit-frame-pointer",
		"-Wall", "-Wextra", "-Wno-deprecated-declarations", "-Wno-use-after-free", "-Wno-free-nonheap-object",
		"-Wno-alloc-size-larger-than", "-Wno-mismatched-dealloc", "-Wno-unused-result",
	}
	cFlags   = []string{"-std=gnu2x"}
	cxxFlags = []string{"-std=c++20", "-faligned-new", "-fsized-deallocation", "-Wno-mismatched-new-delete", "-Wno-sized-deallocation"}
)

// tool names a command and the Debian package that brings it.
func tool(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s not found: install the Debian package %s (apt-get install %s)", name, name, name)
	}
	return path, nil
}

func (b *builder) once(key string, make func() (string, error)) (string, error) {
	b.mu.Lock()
	d := b.done[key]
	if d == nil {
		d = &built{}
		b.done[key] = d
	}
	b.mu.Unlock()
	d.once.Do(func() { d.path, d.err = make() })
	return d.path, d.err
}

// compile runs the compiler for a source unless a kept result is as new as its inputs.
func (b *builder) compile(src, out string, inputs, args []string) (string, error) {
	name, std := "gcc", cFlags
	if strings.HasSuffix(src, ".cc") {
		name, std = "g++", cxxFlags
	}
	cc, err := tool(name)
	if err != nil {
		return "", err
	}
	full := slices.Concat(std, commonFlags, args)
	// Also without keep: what is read here keys the go command's cache of test results.
	stamp, err := fingerprint(full, inputs)
	if err != nil {
		return "", err
	}
	if b.keep {
		if old, err := os.ReadFile(out + ".stamp"); err == nil && string(old) == stamp {
			return out, nil
		}
	}
	// Compiled beside and renamed: an unfinished program never bears the final name.
	tmp := fmt.Sprintf("%s.%d.tmp", out, os.Getpid())
	cmd := exec.Command(cc, append(full, "-o", tmp)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s\n%s%w", strings.Join(cmd.Args, " "), text, err)
	}
	if err := os.Rename(tmp, out); err != nil {
		return "", err
	}
	if b.keep {
		if err := os.WriteFile(out+".stamp", []byte(stamp), 0o644); err != nil {
			return "", err
		}
	}
	return out, nil
}

// fingerprint covers the flags and the text of the inputs and of all shared headers.
func fingerprint(args, inputs []string) (string, error) {
	headers, err := filepath.Glob("common/*.h")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, args)
	for _, path := range slices.Concat(inputs, headers) {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, path, len(text))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// library builds a shared library of lib/: NAME.so for dlopen, libNAME.so for linking.
func (b *builder) library(src, prefix string) (string, error) {
	path := filepath.Join("lib", src)
	out := filepath.Join(b.dir, prefix+strings.TrimSuffix(src, filepath.Ext(src))+".so")
	return b.once(out, func() (string, error) {
		return b.compile(src, out, []string{path}, []string{"-shared", "-fPIC", path})
	})
}

// program builds a program and what it needs.
func (b *builder) program(p *program) (string, error) {
	out := filepath.Join(b.dir, strings.ReplaceAll(strings.TrimSuffix(p.path, filepath.Ext(p.path)), "/", "-"))
	return b.once(out, func() (string, error) {
		args := append(slices.Clone(p.cflags), p.path)
		for _, src := range p.needs {
			if _, err := b.library(src, ""); err != nil {
				return "", err
			}
		}
		for _, src := range p.linkLibs {
			if _, err := b.library(src, "lib"); err != nil {
				return "", err
			}
			args = append(args, "-L"+b.dir, "-l"+strings.TrimSuffix(src, filepath.Ext(src)), "-Wl,-rpath,"+b.dir)
		}
		return b.compile(p.path, out, p.inputs(), append(args, p.link...))
	})
}

// mustBuild builds a program or ends the test with the compiler's words.
func mustBuild(t *testing.T, p *program) string {
	t.Helper()
	path, err := build.program(p)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
