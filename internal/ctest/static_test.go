package ctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// staticProgram uses the archive: C++ with threads, exceptions and the extensions of vcmalloc.h.
const staticProgram = `#include <cstdio>
#include <new>
#include <string>
#include <thread>
#include <vector>
#include "vcmalloc.h"
int main() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; i++)
    threads.emplace_back([] {
      std::vector<std::string> v;
      for (int j = 0; j < 20000; j++) v.emplace_back(j % 200, 'x');
    });
  for (auto &t : threads) t.join();
  try {
    operator delete(operator new((size_t)1 << 60)); // a call the compiler may not leave out
    return 1;
  } catch (std::bad_alloc &) {
  }
  vcmalloc_stats s;
  if (vcmalloc_get_stats(&s) != 0 || s.mapped != s.in_use + s.cached + s.slack + s.page_heap_free + s.released) return 2;
  puts(vcmalloc_version());
}
`

// buildStatic links the program with the archive that lies beside the library.
func buildStatic(t *testing.T, args ...string) string {
	t.Helper()
	requireLibrary(t)
	if plain() {
		t.Skip("the archive is vcmalloc's")
	}
	gxx, err := tool("g++")
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(filepath.Dir(libraryPath), "libvcmalloc.a")
	dir := t.TempDir()
	source, out := filepath.Join(dir, "static.cc"), filepath.Join(dir, "static")
	if err := os.WriteFile(source, []byte(staticProgram), 0o600); err != nil {
		t.Fatal(err)
	}
	include := filepath.Join("..", "..", "include")
	line := append([]string{"-O1", "-std=c++17", "-I" + include, source, archive, "-o", out, "-pthread"}, args...)
	if text, err := exec.Command(gxx, line...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", line, err, text)
	}
	return out
}

func TestArchiveServesLinkedPrograms(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		env  string
	}{
		{"dynamic", nil, ""},
		{"static", []string{"-static"}, ""},
		{"static without rseq", []string{"-static"}, "GLIBC_TUNABLES=glibc.pthread.rseq=0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(buildStatic(t, c.args...))
			cmd.Env = append(os.Environ(), "VCMALLOC_STATS=exit", c.env)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil || strings.TrimSpace(string(out)) == "" {
				t.Fatalf("%v, printed %q\n%s", err, out, stderr.String())
			}
			if !strings.Contains(stderr.String(), "mapped for the heap") {
				t.Errorf("no report at exit: %s", stderr.String())
			}
		})
	}
}

// A program that runs with more rights than its caller must not let the caller choose what it prints, where
// it writes, or what it does on errors.
func TestSetuidProgramIgnoresUnsafeVariables(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making a setuid program of another user takes root")
	}
	program := buildStatic(t, "-static")
	stats := t.TempDir()
	if err := os.Chmod(stats, 0o777); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if err := os.Chown(program, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, os.ModeSetuid|0o755); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(program); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "VCMALLOC_STATS=exit", "VCMALLOC_STATS_DIR="+stats, "VCMALLOC_CHECK=report")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if out, err := cmd.Output(); err != nil || len(out) == 0 {
		t.Fatalf("%v: %q %s", err, out, stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("it printed: %s", stderr.String())
	}
	if left, err := os.ReadDir(stats); err != nil || len(left) > 0 {
		t.Errorf("it wrote to the caller's directory: %v %v", left, err)
	}
}
