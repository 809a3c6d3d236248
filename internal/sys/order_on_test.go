//go:build vcmlocks

package sys

import (
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Locks of the tests' children.
var (
	testVCPU, otherVCPU VCPULock
	testDomain          DomainLock
	testCache           CacheLock
	testList            ListLock
	testPool            PoolLock
	testSpan            SpanLock
	testGrow            GrowLock
	testPage            PageLock
)

// misuses are what a build with the tag vcmlocks ends a process for, with what its line says.
var misuses = map[string]struct {
	do   func()
	says string
}{
	"inverted": {func() { testPage.Lock(); testGrow.Lock() },
		"a lock is taken out of order: GrowLock 0x*; held: PageLock 0x*"},
	"inverted below a third": {func() { testVCPU.Lock(); testList.Lock(); testCache.Lock() },
		"a lock is taken out of order: CacheLock 0x*; held: VCPULock 0x*; held: ListLock 0x*"},
	"under a lock that had to be given up": {func() { testList.Lock(); testSpan.Lock() },
		"a lock is taken out of order: SpanLock 0x*; held: ListLock 0x*"},
	"under a lock taken without waiting": {func() { testDomain.TryLock(); testCache.Lock() },
		"a lock is taken out of order: CacheLock 0x*; held: DomainLock 0x*"},
	"again": {func() { testVCPU.Lock(); testVCPU.Lock() },
		"a lock is taken again by its holder: VCPULock 0x*; held: VCPULock 0x*"},
	"two of one kind": {func() { testVCPU.Lock(); otherVCPU.Lock() },
		"a lock is taken out of order: VCPULock 0x*; held: VCPULock 0x*"},
	"given up by another": {func() {
		testCache.Lock()
		var wg sync.WaitGroup
		wg.Go(testCache.Unlock)
		wg.Wait()
	}, "a lock is given up by a thread that does not hold it: 0x*"},
	"given up twice": {func() { testVCPU.Lock(); testList.Lock(); testList.Unlock(); testList.Unlock() },
		"a lock is given up by a thread that does not hold it: 0x*; held: VCPULock 0x*"},
	"mmap": {func() { testGrow.Lock(); testPage.Lock(); Mmap(0, 4096, ProtRead, MapPrivate) },
		"a lock forbids the system call mmap; held: GrowLock 0x*; held: PageLock 0x*"},
	"madvise": {func() { testCache.Lock(); Madvise(0, 4096, MadvDontNeed) },
		"a lock forbids the system call madvise; held: CacheLock 0x*"},
	"in a handler": {func() { testVCPU.Lock(); BeginHandler(); testCache.Lock() },
		"a signal handler takes a lock in a thread that holds some: CacheLock 0x*; held: VCPULock 0x*"},
	"kept": {func() { testGrow.Lock(); HoldsNone() },
		"a thread leaves the heap with a lock held; held: GrowLock 0x*"},
}

func init() {
	for name, x := range misuses {
		children["order: "+name] = func() {
			defaultAction()
			x.do()
		}
	}
}

// Each misuse of the locks ends the process with one line that says what was done and what was held.
func TestLockBuildCatchesMisuseOfLocks(t *testing.T) {
	for name, x := range misuses {
		t.Run(name, func(t *testing.T) {
			text, status := runChild(t, "order: "+name)
			require.True(t, status.Signaled() && status.Signal() == syscall.SIGABRT, "%v, %q", status, text)
			require.Equal(t, 1, strings.Count(text, "\n"), "%q", text)
			require.Regexp(t, "^vcmalloc: lock order: "+strings.ReplaceAll(x.says, "0x*", "0x[0-9a-f]+")+"\n$", text)
		})
	}
}

// What the order allows passes, in the deepest nests there are, and leaves no trace.
func TestLockBuildAllowsTheOrder(t *testing.T) {
	for range 3 {
		testVCPU.Lock()
		testSpan.Lock()
		testGrow.Lock()
		Munmap(0x1234_5000_0000, 4096)
		testPage.Lock()
		testSpan.Unlock() // not in the order of a stack
		testPage.Unlock()
		testGrow.Unlock()
		testCache.Lock()
		BeginHandler()
		Munmap(0x1234_5000_0000, 4096)
		EndHandler()
		testCache.Unlock()
		require.True(t, testDomain.TryLock())
		testPool.Lock()
		testGrow.Lock()
		testGrow.Unlock()
		testPool.Unlock()
		testDomain.Unlock()
		testVCPU.Unlock()
		HoldsNone()
	}
}

// A thread that waits and one that holds are told apart, on as many threads as use the locks at once.
func TestLockBuildTellsThreadsApart(t *testing.T) {
	const threads, rounds = 16, 2000
	total := 0
	wait := pinned(t, threads, func(i int) {
		for range rounds {
			testGrow.Lock()
			testPage.Lock()
			total++
			testPage.Unlock()
			testGrow.Unlock()
		}
	})
	wait()
	require.Equal(t, threads*rounds, total)
	for i := range held.rows {
		require.Zero(t, held.rows[i].owner, "row %d", i)
	}
}

func TestForkedChildHoldsNoLocks(t *testing.T) {
	testGrow.Lock()
	ForgetLocks(false)
	HoldsNone()
	testGrow.mutex = mutex{}
	ForgetLocks(true)
	testGrow.Lock()
	testGrow.Unlock()
	held.off = 0
}
