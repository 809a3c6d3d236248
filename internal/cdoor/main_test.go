package cdoor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// The door serves one heap, which is booted once: each test of it runs in a copy of the test program, which
// does what childEnv names.
const childEnv = "VCM_CDOOR_TEST_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
		// Threads sleep in the heap's locks by raw system calls, where the scheduler can't stop them.
		runtime.GOMAXPROCS(threads + 4)
		debug.SetGCPercent(-1)
		children[name]()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const threads = 4

// runChild runs a child and returns what it printed.
func runChild(t *testing.T, name string) (string, syscall.WaitStatus) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// must ends a child that finds something wrong.
func must(ok bool, format string, args ...any) {
	if ok {
		return
	}
	_, file, line, _ := runtime.Caller(1)
	fmt.Printf("%s:%d: ", file, line)
	fmt.Printf(format+"\n", args...)
	os.Exit(1)
}

// mapped is n bytes of zeroed memory that Go's collector does not know.
func mapped(n uintptr) uintptr {
	a, e := sys.Mmap(0, n, sys.ProtRead|sys.ProtWrite, sys.MapPrivate)
	must(e == 0, "mmap: %d", e)
	return a
}

// The offsets that Boot is told; nothing in a test reads through them.
const (
	testRseq, testUnregistered = -96, -64
	testVCPU, testCPU          = 24, 4
)

// boot boots the process's heap as the C side would on a machine without restartable sequences.
func boot(change func(*Params), env ...string) *Fast {
	a := mapped(1 << 20)
	f := (*Fast)(sys.At(a))
	p := (*Params)(sys.At(a + 8192))
	*p = Params{
		Fast: a, Table: a + 64<<10, Empty: a + 32<<10, Envp: a + 16<<10, Seed: uint64(os.Getpid()),
		Rseq: testRseq, Unregistered: testUnregistered, SlotVCPU: testVCPU, SlotCPU: testCPU,
	}
	at := a + 24<<10
	for i, entry := range env {
		sys.Store64(p.Envp+uintptr(i)*8, uint64(at))
		for _, c := range []byte(entry + "\x00") {
			*(*byte)(sys.At(at)) = c
			at++
		}
	}
	if change != nil {
		change(p)
	}
	must(unsafe.Sizeof(*f) < 8192, "the block is larger than its place")
	must(Boot(uintptr(unsafe.Pointer(p))) == 1, "no heap")
	return f
}

// parallel runs f on several threads.
func parallel(f func(thread int)) {
	var wg sync.WaitGroup
	for i := range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			f(i)
		})
	}
	wg.Wait()
}
