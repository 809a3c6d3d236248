package sys

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// pinned runs f on n threads. While they run nothing may stop the world: the lock's sleepers sleep in a raw
// system call, which the scheduler takes for Go code that runs. So each gets a P and there is no collection.
// The scheduler's signal is blocked, for it ends a sleep and so would make up for a wake-up that got lost;
// threads that sleep for a minute have lost one.
func pinned(t *testing.T, n int, f func(i int)) (wait func()) {
	t.Helper()
	gc := debug.SetGCPercent(-1)
	procs := runtime.GOMAXPROCS(n + 2)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			maskPreemption(0 /* SIG_BLOCK */)
			defer maskPreemption(1 /* SIG_UNBLOCK */)
			f(i)
		})
	}
	stuck := time.AfterFunc(time.Minute, func() { panic("a thread sleeps for ever") })
	return func() {
		wg.Wait()
		stuck.Stop()
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(gc)
	}
}

func maskPreemption(how uintptr) {
	set := uint64(1) << (syscall.SIGURG - 1)
	call6(syscall.SYS_RT_SIGPROCMASK, how, uintptr(unsafe.Pointer(&set)), 0, 8, 0, 0)
}

// asleep reports whether thread tid of this process sleeps in the kernel.
func asleep(tid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", tid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "S")
}

func TestMutexExcludes(t *testing.T) {
	const threads, rounds = 8, 4000
	var m VCPULock
	inside, total := 0, 0 // plain: the race detector watches them
	wait := pinned(t, threads, func(i int) {
		for k := range rounds {
			if k%3 != 0 || !m.TryLock() {
				m.Lock()
			}
			if inside++; inside != 1 {
				panic("two threads hold the lock")
			}
			total++
			if k%64 == i {
				Sleep(20_000) // long enough for the others to sleep as well
			}
			inside--
			m.Unlock()
		}
	})
	wait() // a lost wake-up would leave a thread asleep for ever
	if total != threads*rounds || m.state != 0 {
		t.Errorf("%d of %d rounds, state %d", total, threads*rounds, m.state)
	}
}

func TestMutexTryLockFailsExactlyWhileHeld(t *testing.T) {
	var m VCPULock
	for range 3 {
		if !m.TryLock() {
			t.Fatal("a free lock was refused")
		}
		if m.TryLock() {
			t.Fatal("a held lock was given")
		}
		m.Unlock()
		m.Lock()
		if m.TryLock() {
			t.Fatal("a held lock was given")
		}
		m.Unlock()
	}
	if n := m.Contended(); n != 0 {
		t.Errorf("%d acquisitions waited, want none", n)
	}
}

// Every sleeper is woken, one by one, and each acquisition that waited is counted once.
func TestMutexWakesEverySleeper(t *testing.T) {
	const threads = 6
	var m VCPULock
	var tids [threads]atomic.Int64
	var got atomic.Int64
	m.Lock()
	wait := pinned(t, threads, func(i int) {
		tids[i].Store(int64(syscall.Gettid()))
		m.Lock()
		got.Add(1)
		m.Unlock()
	})
	for i := range tids {
		for tids[i].Load() == 0 || !asleep(int(tids[i].Load())) {
			time.Sleep(time.Millisecond)
		}
	}
	if s := atomic.LoadUint32(&m.state); s != 2 {
		t.Errorf("state %d with sleepers, want 2", s)
	}
	if got.Load() != 0 {
		t.Error("a thread came in while the lock was held")
	}
	m.Unlock()
	wait()
	if n := m.Contended(); n != threads || got.Load() != threads || m.state != 0 {
		t.Errorf("%d counted, %d came in, state %d; want %d, %d, 0", n, got.Load(), m.state, threads, threads)
	}
}

func TestFutexWaitReturnsAtOnceForAnotherValue(t *testing.T) {
	word := uint32(7)
	FutexWait(&word, 8)
	FutexWaitFor(&word, 8, 1<<62)
}

func TestFutexWaitForEndsWithoutAWake(t *testing.T) {
	word := uint32(7)
	FutexWaitFor(&word, 7, 1_000_000)
}

func TestFutexWakeEndsAWait(t *testing.T) {
	var word uint32
	var tid atomic.Int64
	wait := pinned(t, 1, func(int) {
		tid.Store(int64(syscall.Gettid()))
		for atomic.LoadUint32(&word) == 0 {
			FutexWait(&word, 0)
		}
	})
	for tid.Load() == 0 || !asleep(int(tid.Load())) {
		time.Sleep(time.Millisecond)
	}
	atomic.StoreUint32(&word, 1)
	FutexWake(&word, 1)
	wait()
}
