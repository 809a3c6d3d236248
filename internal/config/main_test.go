package config

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// environ builds an environment block as the kernel does, ending where memory can no longer be read.
func environ(t testing.TB, entries ...string) uintptr {
	t.Helper()
	text := strings.Join(entries, "\x00") + "\x00"
	page := uintptr(os.Getpagesize())
	words := uintptr(len(entries)+1) * 8
	n := (words + uintptr(len(text)) + page - 1) &^ (page - 1)
	a, e := sys.Mmap(0, n+page, sys.ProtRead|sys.ProtWrite, sys.MapPrivate)
	if e != 0 {
		t.Fatal("mmap:", e)
	}
	t.Cleanup(func() { sys.Munmap(a, n+page) })
	if e := sys.Mprotect(a+n, page, sys.ProtNone); e != 0 {
		t.Fatal("mprotect:", e)
	}
	at := a + n - uintptr(len(text)) // the last entry's NUL is the last byte
	for i, entry := range entries {
		sys.Store64(a+uintptr(i)*8, uint64(at))
		for _, c := range []byte(entry + "\x00") {
			*(*byte)(sys.At(at)) = c
			at++
		}
	}
	return a
}

// captureStderr returns what f writes to file descriptor 2: no more than a pipe holds.
func captureStderr(t testing.TB, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	saved, err := syscall.Dup(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Dup3(int(w.Fd()), 2, 0); err != nil {
		t.Fatal(err)
	}
	f()
	if err := syscall.Dup3(saved, 2, 0); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Close(saved)
	_ = w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	return string(text)
}

// parse is what the entries make of the default configuration, and the lines printed.
func parse(t testing.TB, secure bool, entries ...string) (Config, string) {
	t.Helper()
	c := Default()
	envp := environ(t, entries...)
	text := captureStderr(t, func() { c.Parse(envp, secure) })
	return c, text
}

// path reads the NUL-terminated text at p.
func path(p uintptr) string {
	var b []byte
	for p != 0 && sys.Byte(p) != 0 {
		b = append(b, sys.Byte(p))
		p++
	}
	return string(b)
}
