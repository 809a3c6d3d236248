// Package faults lets a test have the kernel refuse system calls that concern a range of addresses, by a seccomp filter
// of one thread. It is no part of the core.
package faults

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Windows of heaps, with the tables before them, lie in [First, End), where nothing else of a Go program does.
const (
	First uintptr = 0x0f00 << 32
	End   uintptr = 0x4100 << 32
)

// Fault is a refusal: the system call of number Call fails with Errno if its first argument lies in [From, To),
// and has no bit of Mask in its lower half.
type Fault struct {
	Call     uint32
	Errno    unix.Errno
	From, To uintptr
	Mask     uint32
}

// Of is a fault of every call of a kind that concerns a heap.
func Of(call uint32, errno unix.Errno) Fault {
	return Fault{Call: call, Errno: errno, From: First, To: End}
}

// In is f for the n bytes at address a only.
func (f Fault) In(a, n uintptr) Fault {
	f.From, f.To = a, a+n
	return f
}

func (f Fault) String() string {
	name := map[uint32]string{unix.SYS_MMAP: "mmap", unix.SYS_MADVISE: "madvise", unix.SYS_MPROTECT: "mprotect"}[f.Call]
	return fmt.Sprintf("%s=%v where %x", name, f.Errno, f.Mask)
}

// Install arms f for the calling thread, for ever: call it within OnDoomedThread. It fails where filters can't be set.
func (f Fault) Install() error {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		ifEq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ifGT   = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
		ifGE   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		ifSet  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		ret    = unix.BPF_RET | unix.BPF_K
		number = 0  // offsets in struct seccomp_data
		low    = 16 // of the first argument
		high   = 20
	)
	// Jumps count from the next instruction; allow is the last one.
	prog := []unix.SockFilter{
		0:  {Code: load, K: number},
		1:  {Code: ifEq, K: f.Call, Jf: 13},
		2:  {Code: load, K: high},
		3:  {Code: ifGT, K: uint32(f.From >> 32), Jt: 3},
		4:  {Code: ifEq, K: uint32(f.From >> 32), Jf: 10},
		5:  {Code: load, K: low},
		6:  {Code: ifGE, K: uint32(f.From), Jf: 8},
		7:  {Code: load, K: high},
		8:  {Code: ifGT, K: uint32(f.To >> 32), Jt: 6},
		9:  {Code: ifEq, K: uint32(f.To >> 32), Jf: 2},
		10: {Code: load, K: low},
		11: {Code: ifGE, K: uint32(f.To), Jt: 3},
		12: {Code: load, K: low},
		13: {Code: ifSet, K: f.Mask, Jt: 1},
		14: {Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(f.Errno)},
		15: {Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	if _, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog))); e != 0 {
		return e
	}
	return nil
}

// OnDoomedThread runs f on a thread that dies with it.
func OnDoomedThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}
