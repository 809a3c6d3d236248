package alloc_test

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/alloc"
)

// Debug mode has no way back, so its tests run in processes of their own.
func inProcess(t *testing.T, name string, env ...string) string {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), append(env, "VCMTEST_CASE="+name)...)
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "SIGABRT") && !strings.Contains(string(out), "SIGSEGV") {
		t.Errorf("%v\n%s", err, out)
	}
	return string(out)
}

func onlyThere(t *testing.T) {
	if os.Getenv("VCMTEST_CASE") != t.Name() {
		t.Skip("run by TestDebugMode")
	}
}

func TestDebugMode(t *testing.T) {
	for _, name := range []string{"TestDebugReports", "TestDebugGoHeap", "TestDebugArenas", "TestDebugFaults", "TestDebugFaultsOfOthers"} {
		require.Contains(t, inProcess(t, name), "--- PASS: "+name)
	}
	out := inProcess(t, "TestDebugAborts")
	require.Contains(t, out, "vcmalloc: double free: object of 40 bytes at 0x")
	require.Equal(t, 2, strings.Count(out, "alloc_test.freeTwice\n"), "the stacks of both frees: %s", out)
	require.Contains(t, out, "SIGABRT")
	out = inProcess(t, "TestDebugFaultEndsTheProcess")
	for _, part := range []string{"panic: vcmalloc: use after free: object of 32768 bytes at 0x", "alloc_test.makesArena\n",
		"alloc_test.freesArena\n", "alloc_test.touches(", "[signal SIGSEGV"} {
		require.Contains(t, out, part)
	}
}

func freeTwice(p unsafe.Pointer) {
	alloc.Free(p)
	alloc.Free(p)
}

func TestDebugAborts(t *testing.T) {
	onlyThere(t)
	require.NoError(t, alloc.EnableDebug(alloc.DebugOptions{}))
	p, err := alloc.Malloc(40)
	require.NoError(t, err)
	freeTwice(p)
}

// reports guards what collect gathers: cleanups report in a goroutine of the runtime's.
var reports sync.Mutex

// collect turns debug mode on and gathers what it reports.
func collect(t *testing.T, o alloc.DebugOptions) *[]alloc.Report {
	var got []alloc.Report
	o.OnReport = func(r alloc.Report) {
		reports.Lock()
		got = append(got, r)
		reports.Unlock()
	}
	require.NoError(t, alloc.EnableDebug(o))
	require.True(t, alloc.DebugEnabled())
	return &got
}

func TestDebugReports(t *testing.T) {
	onlyThere(t)
	early, err := alloc.Malloc(100) // before debug mode
	require.NoError(t, err)
	got := collect(t, alloc.DebugOptions{})
	one := func(kind, detail string) {
		t.Helper()
		require.Len(t, *got, 1)
		r := (*got)[0]
		require.Equal(t, kind, r.Kind)
		require.Contains(t, r.Detail, detail)
		require.Contains(t, r.Allocated.String(), "alloc_test.TestDebugReports")
		require.Contains(t, r.String(), "allocated at")
		require.Contains(t, r.Now.String(), "alloc_test.TestDebugReports")
		*got = nil
	}
	alloc.Free(early)

	p, err := alloc.Malloc(24)
	require.NoError(t, err)
	require.EqualValues(t, 24, alloc.UsableSize(p))
	require.EqualValues(t, 0xcd, bytesOf(p, 24)[7], "not what was there before")
	alloc.Free(unsafe.Add(p, 8))
	one("interior pointer", "8 bytes into it")
	bytesOf(p, 25)[24] = 1
	alloc.Free(p)
	one("overflow", "byte 0 behind")
	require.EqualValues(t, 0xdd, bytesOf(p, 24)[7], "poisoned")
	alloc.Free(p)
	r := (*got)[0]
	one("double free", "free already")
	require.Contains(t, r.Freed.String(), "alloc_test.TestDebugReports")
	require.Contains(t, alloc.Describe(uintptr(p)+3), "freed: object of 24 bytes")
	require.Empty(t, alloc.Describe(1))

	p, err = alloc.Malloc(50)
	require.NoError(t, err)
	alloc.Free(p)
	bytesOf(p, 50)[49] = 3
	alloc.FlushQuarantine()
	one("use after free", "byte 49")
	require.Empty(t, *got)

	p, err = alloc.Malloc(50)
	require.NoError(t, err)
	alloc.FreeSized(p, 51)
	one("size mismatch", "51 bytes")

	// Everything else goes on as ever.
	q, err := alloc.Calloc(10, 10)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 100), bytesOf(q, 100))
	fill(q, 100, 1)
	q, err = alloc.AlignedRealloc(q, 5000, 4096)
	require.NoError(t, err)
	require.Zero(t, uintptr(q)%4096)
	require.True(t, holds(q, 100, 1))
	s, err := alloc.Append([]int(nil), 1, 2, 3)
	require.NoError(t, err)
	s, err = alloc.Append(s, make([]int, 1000)...)
	require.NoError(t, err)
	big, err := alloc.Calloc(1, 3<<20)
	require.NoError(t, err)
	leaks := alloc.Leaks(0)
	require.Len(t, leaks, 3)
	require.EqualValues(t, 3<<20, leaks[0].Bytes)
	require.Contains(t, leaks[0].Stack.String(), "debug_test.go")
	require.Empty(t, alloc.Leaks(time.Hour))
	var b strings.Builder
	require.Equal(t, 3, alloc.ReportLeaks(&b))
	require.Contains(t, b.String(), "3145728 bytes in 1 objects not freed")
	alloc.Free(big)
	alloc.Free(q)
	alloc.FreeSlice(s)
	alloc.VerifyNone(t)
	for range 1000 { // more than the quarantine holds
		p, err := alloc.Malloc(100 << 10)
		require.NoError(t, err)
		alloc.Free(p)
	}
	require.Empty(t, *got)
	require.Less(t, alloc.ReadStats().Usable, uintptr(30<<20))
}

func TestDebugGoHeap(t *testing.T) {
	onlyThere(t)
	got := collect(t, alloc.DebugOptions{GoHeap: true, Quarantine: 1})
	before := alloc.ReadStats().Usable
	var all []unsafe.Pointer
	for i := range 1000 {
		p, err := alloc.AlignedAlloc(uintptr(i), 64)
		require.NoError(t, err)
		require.Zero(t, uintptr(p)%64)
		fill(p, uintptr(i), byte(i))
		all = append(all, p)
		if i%100 == 0 {
			runtime.GC()
		}
	}
	require.Equal(t, before, alloc.ReadStats().Usable)
	for i, p := range all {
		require.True(t, holds(p, uintptr(i), byte(i)))
		require.True(t, alloc.Owns(p))
		alloc.Free(p)
	}
	require.Empty(t, *got)
	alloc.VerifyNone(t)
}

func TestDebugArenas(t *testing.T) {
	onlyThere(t)
	got := collect(t, alloc.DebugOptions{Quarantine: 1 << 20})
	debug.SetPanicOnFault(true)
	touch := func(p *byte) (address uintptr) {
		defer func() {
			if e, ok := recover().(interface{ Addr() uintptr }); ok {
				address = e.Addr()
			}
		}()
		*p = 1
		return 0
	}
	a := alloc.NewArena(0)
	b, err := alloc.MakeIn[byte](a, 32<<10, 32<<10)
	require.NoError(t, err)
	require.Zero(t, touch(&b[len(b)-1]))
	behind := (*byte)(unsafe.Add(unsafe.Pointer(&b[0]), 32<<10))
	require.Equal(t, uintptr(unsafe.Pointer(behind)), touch(behind), "the guard page")
	a.Reset()
	require.EqualValues(t, 0xdd, b[5])
	c, err := alloc.MakeIn[byte](a, 100, 100)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 100), c)
	a.Free()
	require.Equal(t, uintptr(unsafe.Pointer(&b[0])), touch(&b[0]), "use after free")
	require.Contains(t, alloc.Describe(uintptr(unsafe.Pointer(&b[9]))), "freed arena")
	for range 100 { // chunks come back from the quarantine usable
		a := alloc.NewArena(0)
		s, err := alloc.MakeIn[byte](a, 100<<10, 100<<10)
		require.NoError(t, err)
		s[99] = 1
		a.Free()
	}
	require.Empty(t, *got)
	func() { _, _ = alloc.NewIn[int](alloc.NewArena(0)) }()
	for range 100 {
		runtime.GC()
		time.Sleep(time.Millisecond)
		reports.Lock()
		n := len(*got)
		reports.Unlock()
		if n > 0 {
			break
		}
	}
	reports.Lock()
	defer reports.Unlock()
	require.Len(t, *got, 1)
	require.Equal(t, "leaked arena", (*got)[0].Kind)
	require.Contains(t, (*got)[0].Allocated.String(), "TestDebugArenas")
}

func leaky(n int) {
	for range n {
		if _, err := alloc.Malloc(100); err != nil {
			panic(err)
		}
	}
}

// In debug mode Stats knows what was asked for, and what is kept back after a free is nobody's.
func TestStatsInDebugMode(t *testing.T) {
	if os.Getenv("VCMTEST_CASE") != t.Name() {
		require.Contains(t, inProcess(t, t.Name()), "--- PASS: "+t.Name())
		return
	}
	require.NoError(t, alloc.EnableDebug(alloc.DebugOptions{}))
	before := alloc.ReadStats()
	p, err := alloc.Malloc(1000)
	require.NoError(t, err)
	a := alloc.NewArena(64 << 10)
	_, err = alloc.NewIn[int](a)
	require.NoError(t, err)
	s := alloc.ReadStats()
	require.Equal(t, -1, s.Samples)
	require.EqualValues(t, 1000+64<<10, s.Requested-before.Requested)
	require.Equal(t, s.Mapped, s.Usable+s.Slack+s.Cached+s.Free+s.Released)
	alloc.Free(p)
	a.Free()
	s = alloc.ReadStats()
	require.Equal(t, before.Requested, s.Requested)
	require.Equal(t, before.Usable, s.Usable)
	require.Equal(t, before.Objects, s.Objects)
	require.Equal(t, s.Mapped, s.Usable+s.Slack+s.Cached+s.Free+s.Released)
	require.Positive(t, alloc.FlushQuarantine())
	require.Zero(t, alloc.FlushQuarantine())
	require.Equal(t, before.Usable, alloc.ReadStats().Usable)
}

func TestSamplingFindsLeaksBySite(t *testing.T) {
	withoutDebug(t)
	if os.Getenv("VCMTEST_CASE") != t.Name() {
		require.Contains(t, inProcess(t, t.Name()), "--- PASS: "+t.Name())
		return
	}
	const n = 200_000
	require.NoError(t, alloc.StartSampling(16<<10))
	for range n { // freed: no leak
		p, err := alloc.Malloc(200)
		require.NoError(t, err)
		q, err := alloc.Realloc(p, 500)
		require.NoError(t, err)
		alloc.FreeSized(q, 500)
	}
	leaky(n)
	account := alloc.NewAccount("tagged")
	for range n / 10 {
		_, err := account.Malloc(1000)
		require.NoError(t, err)
	}
	leaks := alloc.Leaks(0)
	require.Len(t, leaks, 2)
	for _, l := range leaks {
		if l.Tag == "tagged" { // the larger
			require.InDelta(t, n*100, l.Bytes, n*100*0.2) // about 1200 samples: 3 % standard deviation
			require.InDelta(t, n/10, l.Objects, n/10*0.2)
			continue
		}
		require.Contains(t, l.Stack.String(), "alloc_test.leaky")
		require.InDelta(t, n*100, l.Bytes, n*100*0.2)
		require.InDelta(t, n, l.Objects, n*0.2)
	}
	s := alloc.ReadStats()
	require.Less(t, s.Requested, s.Usable)
	require.Greater(t, s.Requested, s.Usable/2)
	alloc.StopSampling()
	for range n {
		p, err := alloc.Malloc(64)
		require.NoError(t, err)
		alloc.Free(p)
	}
	require.Len(t, alloc.Leaks(0), 2)
}

func TestMemoryLimitFollowsOffHeapBytes(t *testing.T) {
	old := debug.SetMemoryLimit(10 << 30)
	defer debug.SetMemoryLimit(old)
	alloc.ReleaseOSMemory() // or the object below may have memory already
	stop := alloc.TrackMemoryLimit()
	first := debug.SetMemoryLimit(-1)
	require.Less(t, first, int64(10<<30))
	p, err := alloc.Malloc(1 << 30) // mapped as it is, untouched
	require.NoError(t, err)
	require.Eventually(t, func() bool { return debug.SetMemoryLimit(-1) <= first-1<<30 }, 5*time.Second, 10*time.Millisecond)
	alloc.Free(p)
	stop()
	stop()
	require.EqualValues(t, 10<<30, debug.SetMemoryLimit(-1))
	debug.SetMemoryLimit(int64(^uint64(0) >> 1))
	alloc.TrackMemoryLimit()() // no limit: nothing to do
}
