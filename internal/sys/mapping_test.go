package sys

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"
)

func sscanRange(line string, start, end *uintptr) (int, error) {
	return fmt.Sscanf(line, "%x-%x", start, end)
}

func cPath(t *testing.T, path string) uintptr {
	t.Helper()
	a, size := pages(t, 1)
	if uintptr(len(path)) >= size {
		t.Fatal("path too long")
	}
	store(a, path)
	return a
}

func TestFixedNoReplaceReplacesNothing(t *testing.T) {
	a, size := pages(t, 2)
	Store64(a, 42)
	const flags = MapPrivate | MapFixedNoReplace
	got, e := Mmap(a, size, ProtRead|ProtWrite, flags)
	switch {
	case e == 0: // before Linux 4.17
		if got == a {
			t.Error("a mapping was replaced")
		}
		Munmap(got, size)
	case e != EEXIST:
		t.Errorf("error %d, want EEXIST", e)
	}
	if Load64(a) != 42 {
		t.Error("the mapping in the way was changed")
	}

	half := size / 2
	if e := Munmap(a+half, half); e != 0 {
		t.Fatal("munmap:", e)
	}
	if mapping(t, a+half) != "" {
		t.Error("unmapped memory is still mapped")
	}
	if got, e := Mmap(a, size, ProtRead|ProtWrite, flags); e == 0 && got == a {
		t.Error("a mapping was replaced that lies in a part of the range")
	} else if e == 0 {
		Munmap(got, size)
	}
	if got, e := Mmap(a+half, half, ProtRead|ProtWrite, flags); e != 0 || got != a+half {
		t.Errorf("a free range was refused: %#x, error %d", got, e)
	} else if Load64(a+half) != 0 {
		t.Error("new memory is not zero")
	}
}

func TestDontNeedMakesMemoryReadZero(t *testing.T) {
	a, size := pages(t, 4)
	for at := a; at < a+size; at += 8 {
		Store64(at, ^uint64(0))
	}
	half := size / 2
	if e := Madvise(a, half, MadvDontNeed); e != 0 {
		t.Fatal("madvise:", e)
	}
	for at := a; at < a+size; at += 8 {
		if want := at >= a+half; Load64(at) != 0 != want {
			t.Fatalf("%#x at %#x", Load64(at), at-a)
		}
	}
}

func TestMovePagesLeavesZeroesBehind(t *testing.T) {
	from, size := pages(t, 3)
	to, _ := pages(t, 3)
	for at := uintptr(0); at < size; at += 8 {
		Store64(from+at, uint64(at)+1)
	}
	Store64(to, 99)
	if e := MovePages(from, to, size); e == EINVAL {
		t.Skip("this kernel does not move pages so")
	} else if e != 0 {
		t.Fatal("mremap:", e)
	}
	for at := uintptr(0); at < size; at += 8 {
		if Load64(to+at) != uint64(at)+1 {
			t.Fatalf("%d at offset %d", Load64(to+at), at)
		}
		if Load64(from+at) != 0 {
			t.Fatalf("%d was left at offset %d", Load64(from+at), at)
		}
	}
	Store64(from, 1)
	if Load64(to) != 1 || Load64(from) != 1 {
		t.Error("the old range can't be used")
	}
	Store64(from, 2)
	if Load64(to) != 1 {
		t.Error("the two ranges share memory")
	}
}

func TestNameShowsInMaps(t *testing.T) {
	a, size := pages(t, 1)
	if e := NameMapping(a, size, "vcmalloc test\x00"); e == EINVAL {
		t.Skip("this kernel does not name anonymous memory")
	} else if e != 0 {
		t.Fatal("prctl:", e)
	}
	if line := mapping(t, a); !strings.HasSuffix(line, "[anon:vcmalloc test]") {
		t.Error(line)
	}
}

func TestCreatedFileIsPrivateNewAndShared(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "stats")
	fd, e := Create(cPath(t, path))
	if e != 0 {
		t.Fatal("create:", e)
	}
	a, size := pages(t, 1)
	if e := Allocate(fd, size); e != 0 {
		t.Fatal("truncate:", e)
	}
	if got, e := MmapFile(a, size, fd); e != 0 || got != a {
		t.Fatal("mmap:", e)
	}
	Close(fd)
	store(a, "hello")
	text, err := os.ReadFile(path)
	if err != nil || uintptr(len(text)) != size || !strings.HasPrefix(string(text), "hello\x00") {
		t.Errorf("the file does not show what was written: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read it: %v %v", info.Mode(), err)
	}
	if _, e := Create(cPath(t, path)); e != EEXIST {
		t.Errorf("an existing file: error %d, want EEXIST", e)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "target"), link); err != nil {
		t.Fatal(err)
	}
	if _, e := Create(cPath(t, link)); e != EEXIST {
		t.Errorf("a symbolic link: error %d, want EEXIST", e)
	}

	if e := Unlink(cPath(t, link)); e != 0 {
		t.Error("unlink:", e)
	}
	if e := Unlink(cPath(t, link)); e != Errno(syscall.ENOENT) {
		t.Errorf("unlink twice: error %d, want ENOENT", e)
	}

	fd, e = OpenRead(cPath(t, path))
	if e != 0 {
		t.Fatal("open:", e)
	}
	defer Close(fd)
	to, _ := pages(t, 1)
	if n, e := Read(fd, to, 5); e != 0 || loadText(to, n) != "hello" {
		t.Errorf("read %q, error %d", loadText(to, n), e)
	}
	if _, e := OpenRead(cPath(t, filepath.Join(dir, "none"))); e != Errno(syscall.ENOENT) {
		t.Errorf("no file: error %d, want ENOENT", e)
	}
}

// A signal in the middle of a write makes it return with what was written so far.
func TestWriteGoesOnAfterPartialWrites(t *testing.T) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	a, size := pages(t, 256) // more than a pipe holds
	want := make([]byte, size)
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	store(a, string(want))
	signals := make(chan os.Signal, 1) // a signal that is ignored would interrupt nothing
	signal.Notify(signals, syscall.SIGWINCH)
	defer signal.Stop(signals)
	var tid atomic.Int64
	wait := pinned(t, 1, func(int) {
		tid.Store(int64(syscall.Gettid()))
		Write(uintptr(fds[1]), a, size)
		Close(uintptr(fds[1]))
	})
	for tid.Load() == 0 || !asleep(int(tid.Load())) {
		runtime.Gosched()
	}
	var got []byte
	buf := make([]byte, 8192)
	for {
		_ = syscall.Tgkill(syscall.Getpid(), int(tid.Load()), syscall.SIGWINCH)
		n, err := syscall.Read(fds[0], buf)
		if n <= 0 {
			if err != nil {
				t.Error(err)
			}
			break
		}
		got = append(got, buf[:n]...)
	}
	wait()
	_ = syscall.Close(fds[0])
	if string(got) != string(want) {
		t.Errorf("%d bytes arrived of %d, or others", len(got), len(want))
	}
}

func TestWriteToABadDescriptorReturns(t *testing.T) {
	var b [8]byte
	Write(^uintptr(0), uintptr(unsafe.Pointer(&b)), 8)
}
