package sys

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

func TestMaxCPUsCoversEveryPossibleCPU(t *testing.T) {
	n := MaxCPUs()
	if int(n) < runtime.NumCPU() || n%8 != 0 || n > 8*schedGetaffinityBuf {
		t.Errorf("%d CPUs at most, but the process may use %d", n, runtime.NumCPU())
	}
	possible, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		t.Skip(err)
	}
	list := strings.TrimSpace(string(possible)) // 0-3,8-11
	last, err := strconv.Atoi(list[strings.LastIndexAny(list, "-,")+1:])
	if err != nil {
		t.Fatal(err)
	}
	if int(n) <= last {
		t.Errorf("%d CPUs at most, but CPU %d may come", n, last)
	}
}

func TestCurrentCPUIsTheOneTheThreadIsBoundTo(t *testing.T) {
	runtime.LockOSThread()
	var all, one [schedGetaffinityBuf]byte
	size, e := call3(syscall.SYS_SCHED_GETAFFINITY, 0, uintptr(len(all)), uintptr(unsafe.Pointer(&all)))
	if e != 0 {
		t.Fatal("sched_getaffinity:", e)
	}
	bind := func(mask *[schedGetaffinityBuf]byte) Errno {
		_, e := call3(syscall.SYS_SCHED_SETAFFINITY, 0, size, uintptr(unsafe.Pointer(mask)))
		return e
	}
	defer func() {
		if bind(&all) == 0 {
			runtime.UnlockOSThread() // otherwise the thread ends with the test
		}
	}()
	if CurrentCPU() == -1 {
		t.Skip("this machine does not tell")
	}
	for cpu := range 8 * size {
		if all[cpu/8]>>(cpu%8)&1 == 0 {
			continue
		}
		one = [schedGetaffinityBuf]byte{}
		one[cpu/8] = 1 << (cpu % 8)
		if e := bind(&one); e != 0 {
			t.Skip("sched_setaffinity:", e)
		}
		if got := CurrentCPU(); got != int32(cpu) {
			t.Errorf("CPU %d, bound to %d", got, cpu)
		}
	}
}

//go:linkname nanotime runtime.nanotime
func nanotime() int64

func TestNowIsTheMonotonicClock(t *testing.T) {
	for range 1000 {
		before := nanotime()
		now := Now()
		if after := nanotime(); now < before || now > after {
			t.Fatalf("%d is not between %d and %d", now, before, after)
		}
	}
}

func TestSleepPasses(t *testing.T) {
	for end := Now() + 100_000; Now() < end; {
		Sleep(10_000)
	}
	Yield()
	Pause(1)
}

func TestMembarrierQueryAnswers(t *testing.T) {
	commands, e := Membarrier(MembarrierQuery, 0, 0)
	if e != 0 && e != ENOSYS && e != EPERM {
		t.Errorf("error %d", e)
	}
	if e == 0 && commands&MembarrierRegisterPrivate != 0 {
		if _, e := Membarrier(MembarrierRegisterPrivate, 0, 0); e != 0 {
			t.Error("register:", e)
		}
		if _, e := Membarrier(MembarrierPrivate, 0, 0); e != 0 {
			t.Error("barrier:", e)
		}
	}
}

// The function called is machine code that does what a C function may: it clobbers every register that the
// calling convention gives it, the ones Go counts on among them.
func TestCallCPassesArgumentsOnAnAlignedStack(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("machine code of amd64")
	}
	a, size := pages(t, 1)
	store(a, "\x48\x89\xf8"+ // mov %rdi, %rax
		"\x48\x01\xf0"+ // add %rsi, %rax
		"\x48\x29\xd0"+ // sub %rdx, %rax
		"\x48\x0f\xaf\xc1"+ // imul %rcx, %rax
		"\x31\xc9\x31\xd2\x31\xf6\x31\xff"+ // xor %ecx, %ecx; edx; esi; edi
		"\x45\x31\xc0\x45\x31\xc9\x45\x31\xd2\x45\x31\xdb"+ // r8d r9d r10d r11d
		"\x66\x45\x0f\x76\xff"+ // pcmpeqd %xmm15, %xmm15
		"\xc3")
	store(a+128, "\x48\x89\xe0\xc3") // mov %rsp, %rax; ret
	if e := Mprotect(a, size, ProtRead|4 /* exec */); e != 0 {
		t.Skip("no executable memory:", e)
	}
	for i := range uintptr(100) {
		var zero [4]uint64 // cleared through XMM15
		if got := CallC(a, i+7, 5, 2, 3); got != (i+10)*3 {
			t.Fatalf("%d, want %d", got, (i+10)*3)
		}
		clear(zero[:])
		if next := new([4]uint64); zero != *next {
			t.Fatal("a zeroed variable is not zero: XMM15 was not restored")
		}
	}
	if sp := CallC(a+128, 0, 0, 0, 0); sp%16 != 8 {
		t.Errorf("stack pointer %#x at the function's entry, want 8 modulo 16", sp)
	}
}
