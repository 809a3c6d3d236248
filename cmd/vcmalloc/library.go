package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	libraryName     = "libvcmalloc.so"
	libraryVariable = "VCMALLOC_LIB"
	// What tells our library from others.
	librarySymbol = "vcmalloc_version"
)

// findLibrary is the path of the library to preload: what the flag names, else what the variable names, else
// the first found around the command itself.
func findLibrary(flag string) (string, error) {
	if flag != "" {
		return checkLibrary(flag, "--lib")
	}
	if v := os.Getenv(libraryVariable); v != "" {
		return checkLibrary(v, libraryVariable)
	}
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", fmt.Errorf("can't tell where this command lies (%v): name the library with --lib", err)
	}
	candidates := libraryCandidates(filepath.Dir(self))
	for _, path := range candidates {
		if _, err := os.Stat(path); err == nil {
			return checkLibrary(path, path)
		}
	}
	return "", fmt.Errorf("%s is not in %s: build it with cgo/build.sh, or name it with --lib or %s", libraryName,
		strings.Join(folders(candidates), ", "), libraryVariable)
}

// libraryCandidates are the places the library may be in, given the command's folder: installed side by side
// or in PREFIX/bin and PREFIX/lib, or built in the source tree (in its root, or in bin).
func libraryCandidates(bin string) []string {
	return []string{
		filepath.Join(bin, libraryName),
		filepath.Join(bin, "..", "lib", libraryName),
		filepath.Join(bin, "build", libraryName),
		filepath.Join(bin, "..", "build", libraryName),
	}
}

func folders(paths []string) (out []string) {
	for _, p := range paths {
		out = append(out, filepath.Dir(p))
	}
	return out
}

// checkLibrary makes sure that the dynamic loader will take the file: it ignores what it can't load, and the
// program would run with the C library's malloc unnoticed.
func checkLibrary(path, source string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, libraryName)
	}
	if strings.ContainsAny(path, " :") {
		return "", fmt.Errorf("%s (from %s): LD_PRELOAD can't name a path with a space or a colon; link or copy the library elsewhere", path, source)
	}
	f, err := elf.Open(path)
	var system *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s (from %s): there is no such file; build it with cgo/build.sh", path, source)
	case errors.As(err, &system):
		return "", fmt.Errorf("the library (from %s) can't be read: %w", source, err)
	case err != nil:
		return "", fmt.Errorf("%s (from %s) is not a shared library", path, source)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	ours := func(s elf.Symbol) bool { return s.Name == librarySymbol && s.Section != elf.SHN_UNDEF }
	if f.Type != elf.ET_DYN || err != nil || !slices.ContainsFunc(symbols, ours) {
		return "", fmt.Errorf("%s (from %s) is not vcmalloc's library: it does not define %s", path, source, librarySymbol)
	}
	return path, nil
}

// preload puts the library before what LD_PRELOAD has already.
func preload(library, existing string) string {
	out := []string{library}
	for _, p := range strings.FieldsFunc(existing, func(r rune) bool { return r == ' ' || r == ':' }) {
		if p != library {
			out = append(out, p)
		}
	}
	return strings.Join(out, ":")
}

// unpreloadable says why nothing can be preloaded into the program, "" if it can as far as the file shows.
func unpreloadable(program string) string {
	if st, err := os.Stat(program); err == nil && st.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		return "has the set-user-ID or set-group-ID bit: the system drops LD_PRELOAD"
	}
	f, err := elf.Open(program)
	if err != nil {
		return "" // a script: what counts is its interpreter
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return ""
		}
	}
	return "is linked statically: nothing can be preloaded into it"
}
