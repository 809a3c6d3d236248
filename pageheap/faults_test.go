package pageheap

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fault makes system calls of this thread fail that concern addresses of a heap's window: those of the given
// number, everywhere or where a bit pattern of the address says so. Windows begin between 2^44 and 2^46, where
// nothing else of a Go program lies.
type fault struct {
	call  uint32
	errno uint32
	mask  uint32 // bits of the address's lower half that must all be clear; 0: every call fails
}

func (f fault) String() string {
	return fmt.Sprintf("%s=%v where %x", map[uint32]string{unix.SYS_MMAP: "mmap", unix.SYS_MADVISE: "madvise", unix.SYS_MPROTECT: "mprotect"}[f.call],
		unix.Errno(f.errno), f.mask)
}

// install arms the fault for the calling thread, for ever.
func (f fault) install() error {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		ifEq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ifGE   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		ifSet  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		ret    = unix.BPF_RET | unix.BPF_K
		number = 0  // offsets in struct seccomp_data
		low    = 16 // of the first argument
		high   = 20
	)
	prog := []unix.SockFilter{
		{Code: load, K: number},
		{Code: ifEq, K: f.call, Jt: 0, Jf: 6},
		{Code: load, K: high},
		{Code: ifGE, K: 0x0f00, Jt: 0, Jf: 4},
		{Code: ifGE, K: 0x4100, Jt: 3, Jf: 0},
		{Code: load, K: low},
		{Code: ifSet, K: f.mask, Jt: 1, Jf: 0},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | f.errno},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
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

// onDoomedThread runs f on a thread that dies with it.
func onDoomedThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// The system refuses some or all calls of one kind, from a moment on: requests may fail then, but every structure
// and sum holds, objects keep their contents, and what fits is still served.
func TestEveryRefusalOfTheSystemIsSurvived(t *testing.T) {
	var faults []fault
	for _, call := range []uint32{unix.SYS_MMAP, unix.SYS_MADVISE, unix.SYS_MPROTECT} {
		for _, e := range []uint32{uint32(unix.ENOMEM), uint32(unix.EAGAIN), uint32(unix.EINVAL)} {
			// All; by hugepages; by runs of 8; by single pages.
			for _, mask := range []uint32{0, 1 << 21, 1 << 22, 3 << 24, 1 << 13} {
				faults = append(faults, fault{call, e, mask})
			}
		}
	}
	failed, refused := 0, uint64(0)
	for i, f := range faults {
		t.Run(f.String(), func(t *testing.T) {
			onDoomedThread(func() {
				r := rand.New(rand.NewPCG(uint64(i), 11))
				m := newModel(t, Options{Seed: r.Uint64(), LifetimeFiller: i%2 == 0})
				m.h.regions.patience = 600
				run := func(steps int) {
					for range steps {
						x := r.Uint32()
						m.step(byte(x), byte(x>>8), byte(x>>16))
						if m.steps%64 == 0 {
							m.check()
						}
					}
				}
				run(300)
				if err := f.install(); err != nil {
					t.Skipf("no system call filter: %v", err)
				}
				m.faulty = true
				run(900)
				failed += m.failed
				var st Stats
				m.h.Stats(&st)
				refused += st.MadviseFailures
				m.h.SetLimits(st.Mapped/4, st.Mapped/2)
				run(300)
				m.h.SetLimits(0, 0)
				m.finish()
			})
		})
	}
	if failed == 0 || refused == 0 {
		t.Errorf("%d requests failed, the system refused %d releases: nothing was tested", failed, refused)
	}
}
