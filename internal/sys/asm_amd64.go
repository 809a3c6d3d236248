package sys

// sysMembarrier is missing from package syscall, which is frozen.
const sysMembarrier = 324

func pause(n uint32)

// CallC calls the C function at address fn with up to four integer arguments, on the caller's stack. Only
// the C door uses it, where fn is one of our restartable sequences.
//
//go:noescape
func CallC(fn, a, b, c, d uintptr) uintptr

// PanicStub is where a failed bounds check of the core ends in a process without the Go runtime.
func PanicStub()

// CurrentCPU is the number of the CPU that runs the caller, without a system call; it may be stale when it
// returns. -1 means unknown.
func CurrentCPU() int32
