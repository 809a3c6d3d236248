package sys

import (
	"syscall"
	"unsafe"
)

// Protection and mapping flags of Mmap. MapFixedNoReplace is honoured from Linux 4.17 on; an older kernel
// takes the address as a hint, so callers compare the result.
const (
	ProtNone          = 0
	ProtRead          = 1
	ProtWrite         = 2
	MapShared         = 0x01
	MapPrivate        = 0x02
	MapFixed          = 0x10
	MapAnon           = 0x20
	MapNoReserve      = 0x4000
	MapFixedNoReplace = 0x100000
)

// Advice for Madvise.
const (
	MadvDontNeed   = 4
	MadvHugePage   = 14
	MadvNoHugePage = 15
	MadvCollapse   = 25
)

// Commands of Membarrier (linux/membarrier.h).
const (
	MembarrierQuery                = 0
	MembarrierPrivate              = 1 << 3
	MembarrierRegisterPrivate      = 1 << 4
	MembarrierPrivateRseq          = 1 << 7
	MembarrierRegisterPrivateRseq  = 1 << 8
	prSetVMA                       = 0x53564d41
	prSetVMAAnonName               = 0
	futexWaitPrivate               = 0 | 128
	futexWakePrivate               = 1 | 128
	clockMonotonic                 = 1
	clockProcessCPUTime            = 2
	atFDCWD                        = ^uintptr(99) // -100
	mremapMayMove                  = 1
	mremapFixed                    = 2
	mremapDontUnmap                = 4
	schedGetaffinityBuf            = 1024 // bytes: 8192 CPUs, the largest NR_CPUS of a distribution kernel
	oReadOnly, oRdWr, oCloExec     = 0, 2, 0x80000
	oCreat, oExcl, oTrunc, oNoFoll = 0x40, 0x80, 0x200, 0x20000
)

// call6 and every function below that is handed an address as a number is nosplit: called from a goroutine,
// its prologue must not move the stack that the address may point into.
//
//go:nosplit
func call6(trap, a1, a2, a3, a4, a5, a6 uintptr) (uintptr, Errno) {
	r, _, e := syscall.RawSyscall6(trap, a1, a2, a3, a4, a5, a6)
	return r, Errno(e)
}

//go:nosplit
func call3(trap, a1, a2, a3 uintptr) (uintptr, Errno) { return call6(trap, a1, a2, a3, 0, 0, 0) }

// Mmap maps n bytes of anonymous memory at addr (a hint, unless flags fix it).
func Mmap(addr, n, prot, flags uintptr) (uintptr, Errno) {
	calling("mmap")
	return call6(syscall.SYS_MMAP, addr, n, prot, flags|MapAnon, ^uintptr(0), 0)
}

// MmapFile maps the first n bytes of fd shared and writable over whatever lies at addr.
func MmapFile(addr, n, fd uintptr) (uintptr, Errno) {
	calling("mmap")
	return call6(syscall.SYS_MMAP, addr, n, ProtRead|ProtWrite, MapShared|MapFixed, fd, 0)
}

// Munmap removes the n bytes at addr from the address space.
func Munmap(addr, n uintptr) Errno {
	calling("munmap")
	_, e := call3(syscall.SYS_MUNMAP, addr, n, 0)
	return e
}

// Mprotect changes the protection of the n bytes at addr.
func Mprotect(addr, n, prot uintptr) Errno {
	calling("mprotect")
	_, e := call3(syscall.SYS_MPROTECT, addr, n, prot)
	return e
}

// Madvise advises the kernel on the n bytes at addr.
func Madvise(addr, n, advice uintptr) Errno {
	calling("madvise")
	_, e := call3(syscall.SYS_MADVISE, addr, n, advice)
	return e
}

// MovePages moves the pages of [from, from+n) to [to, to+n), in place of those there. The old range stays
// mapped and reads as zero (Linux 5.7; older kernels refuse).
func MovePages(from, to, n uintptr) Errno {
	calling("mremap")
	_, e := call6(syscall.SYS_MREMAP, from, n, n, mremapMayMove|mremapFixed|mremapDontUnmap, to, 0)
	return e
}

// NameMapping labels the n bytes at addr in /proc/self/maps; name ends in a NUL byte. Kernels without
// CONFIG_ANON_VMA_NAME refuse, which callers may ignore: names are for people.
func NameMapping(addr, n uintptr, name string) Errno {
	_, e := call6(syscall.SYS_PRCTL, prSetVMA, prSetVMAAnonName, addr, n, uintptr(unsafe.Pointer(unsafe.StringData(name))), 0)
	return e
}

// FutexWait sleeps until a wake of addr, unless *addr is no longer val. It may return early.
func FutexWait(addr *uint32, val uint32) {
	call6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(addr)), futexWaitPrivate, uintptr(val), 0, 0, 0)
}

// FutexWaitFor is FutexWait with a bound of ns nanoseconds.
func FutexWaitFor(addr *uint32, val uint32, ns int64) {
	ts := [2]int64{ns / 1e9, ns % 1e9}
	call6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(addr)), futexWaitPrivate, uintptr(val), uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// FutexWake wakes at most n sleepers of addr.
func FutexWake(addr *uint32, n uint32) {
	call6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(addr)), futexWakePrivate, uintptr(n), 0, 0, 0)
}

// Membarrier issues one membarrier command.
func Membarrier(cmd, flags, cpu uintptr) (uintptr, Errno) {
	return call3(sysMembarrier, cmd, flags, cpu)
}

// Now is the monotonic clock in nanoseconds.
func Now() int64 {
	var ts [2]int64
	call3(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0)
	return ts[0]*1e9 + ts[1]
}

// CPUTime is the processor time that all threads of the process have used, in nanoseconds.
func CPUTime() int64 {
	var ts [2]int64
	call3(syscall.SYS_CLOCK_GETTIME, clockProcessCPUTime, uintptr(unsafe.Pointer(&ts)), 0)
	return ts[0]*1e9 + ts[1]
}

// Sleep waits ns nanoseconds, or less when a signal comes.
func Sleep(ns int64) {
	ts := [2]int64{ns / 1e9, ns % 1e9}
	call3(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// Yield lets another thread run.
func Yield() { call3(syscall.SYS_SCHED_YIELD, 0, 0, 0) }

// Getpid is the process's id as the kernel has it now: never cached, so right after fork.
func Getpid() uintptr {
	r, _ := call3(syscall.SYS_GETPID, 0, 0, 0)
	return r
}

// MaxCPUs is an upper bound of the ids of this machine's CPUs: the kernel's nr_cpu_ids rounded up to 64,
// by the size it reports for its own CPU masks (no file to open, one call). 0 means unknown.
func MaxCPUs() uintptr {
	var mask [schedGetaffinityBuf]byte
	r, e := call3(syscall.SYS_SCHED_GETAFFINITY, 0, schedGetaffinityBuf, uintptr(unsafe.Pointer(&mask)))
	if e != 0 {
		return 0
	}
	return r * 8
}

// Write writes n bytes at p to fd, going on after partial writes and signals.
//
//go:nosplit
func Write(fd, p, n uintptr) {
	for n > 0 {
		r, e := call3(syscall.SYS_WRITE, fd, p, n)
		if e == EINTR {
			continue
		}
		if e != 0 || r == 0 {
			return
		}
		p, n = p+r, n-r
	}
}

// OpenRead opens the file whose NUL-terminated path is at path.
//
//go:nosplit
func OpenRead(path uintptr) (uintptr, Errno) {
	return call6(syscall.SYS_OPENAT, atFDCWD, path, oReadOnly|oCloExec, 0, 0, 0)
}

// Create makes a new file of mode 0600, replacing none and following no link.
//
//go:nosplit
func Create(path uintptr) (uintptr, Errno) {
	return call6(syscall.SYS_OPENAT, atFDCWD, path, oRdWr|oCreat|oExcl|oNoFoll|oCloExec, 0o600, 0, 0)
}

// Unlink removes the file whose NUL-terminated path is at path.
//
//go:nosplit
func Unlink(path uintptr) Errno {
	_, e := call3(syscall.SYS_UNLINKAT, atFDCWD, path, 0)
	return e
}

// Allocate makes fd n bytes long and reserves the blocks for them.
func Allocate(fd, n uintptr) Errno {
	_, e := call6(syscall.SYS_FALLOCATE, fd, 0, 0, n, 0, 0)
	return e
}

// Read reads up to n bytes of fd into p.
//
//go:nosplit
func Read(fd, p, n uintptr) (uintptr, Errno) {
	for {
		r, e := call3(syscall.SYS_READ, fd, p, n)
		if e != EINTR {
			return r, e
		}
	}
}

// ReadAt reads up to n bytes of fd at offset off into p.
//
//go:nosplit
func ReadAt(fd, p, n, off uintptr) (uintptr, Errno) {
	return call6(syscall.SYS_PREAD64, fd, p, n, off, 0, 0)
}

// Ioctl issues a request on fd with the structure at arg.
//
//go:nosplit
func Ioctl(fd, request, arg uintptr) (uintptr, Errno) {
	return call3(syscall.SYS_IOCTL, fd, request, arg)
}

// Close closes fd.
func Close(fd uintptr) { call3(syscall.SYS_CLOSE, fd, 0, 0) }

// Abort ends the process by SIGABRT; if a handler returns or the signal is blocked, by exit status 127.
func Abort() {
	const sigabrt = 6
	pid := Getpid()
	tid, _ := call3(syscall.SYS_GETTID, 0, 0, 0)
	var set uint64 = 1 << (sigabrt - 1)
	call6(syscall.SYS_RT_SIGPROCMASK, 1 /* SIG_UNBLOCK */, uintptr(unsafe.Pointer(&set)), 0, 8, 0, 0)
	call3(syscall.SYS_TGKILL, pid, tid, sigabrt)
	var act [4]uint64 // the default action: a handler that returned must not keep the process alive
	call6(syscall.SYS_RT_SIGACTION, sigabrt, uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	call3(syscall.SYS_TGKILL, pid, tid, sigabrt)
	for {
		call3(syscall.SYS_EXIT_GROUP, 127, 0, 0)
	}
}
