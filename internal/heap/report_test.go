package heap

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

func textOf(f func(*sys.Text)) string {
	buf := make([]byte, 256<<10)
	x := sys.NewText(uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	f(&x)
	return string(buf[:x.Len()])
}

func TestReportsTellWhatTheHeapHolds(t *testing.T) {
	h := newHeap(t, Options{})
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		h.Free(h.AllocClass(c), CallFree)
		h.AllocClass(c)
	}
	h.Malloc(5 << 20)
	h.NestedMalloc(100, 16)
	text := textOf(h.Report)
	require.NotContains(t, text, "objects moved between tiers")
	for _, want := range []string{"in use: objects of size classes, 87", "in use: larger objects, 1", "side region", "vCPU caches: "} {
		require.Contains(t, text, want)
	}
	require.EqualValues(t, 0, h.inside())

	text = textOf(h.ReportXML)
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else {
			require.NoError(t, err)
		}
	}
	require.Contains(t, text, `<total type="mmap" count="1" size="5242880"/>`)
}

func TestNothingGoesBackByItselfWhereTheUserSaidSo(t *testing.T) {
	h := newHeap(t, Options{Config: config.Config{Retain: true}})
	var live []uintptr
	for range 64 {
		live = append(live, h.Malloc(1<<20))
	}
	for _, p := range live {
		h.Free(p, CallFree)
	}
	for now := int64(1e9); now < 100e9; now += 1e9 {
		h.Background(now)
	}
	var s Stats
	h.Stats(&s)
	require.GreaterOrEqual(t, s.Cache, units.Bytes(60<<20))
	require.Positive(t, h.Trim(), "on request it does")
	check(t, h, 0)
}

func TestBackgroundReturnsWhatStaysUnusedAndKeepsTheIdentity(t *testing.T) {
	h := newHeap(t, Options{})
	r := coretest.Rand(t)
	var live []uintptr
	for range 40000 {
		live = append(live, h.Malloc(units.Bytes(r.IntN(3000))))
	}
	for range 10 {
		live = append(live, h.Malloc(7<<20))
	}
	now := int64(1e9)
	tick := func(n int) {
		for range n {
			now += 1e9
			h.Background(now)
		}
	}
	tick(3)
	for _, p := range live {
		h.Free(p, CallFree)
	}
	var before, after Stats
	h.Stats(&before)
	tick(200)
	h.Stats(&after)
	check(t, h, 0)
	require.Zero(t, after.PerCPU, "idle vCPUs are drained")
	require.Zero(t, after.Transfer, "and unused objects plundered")
	require.Zero(t, after.Central+after.Slack)
	require.Less(t, after.Cache, before.Cache/10)
	require.Greater(t, after.Unbacked, before.Unbacked)

	ticks := h.tick.ticks
	h.Background(now) // not due
	require.Equal(t, ticks, h.tick.ticks)
	h.tick.busy = 1 // another thread is at it
	h.Background(now + 5e9)
	require.Equal(t, ticks, h.tick.ticks)
	h.tick.busy = 0
	for range 2*slowCalls + 1 {
		h.Poll()
	}
	require.Greater(t, h.tick.ticks, ticks)
}

func TestTrimReturnsAllThatIsFree(t *testing.T) {
	h := newHeap(t, Options{})
	var live []uintptr
	for i := range 30000 {
		p := h.Malloc(units.Bytes(16 + i%2000))
		fill(p, 16, uint64(i))
		live = append(live, p)
	}
	held := units.Bytes(0)
	for i, p := range live {
		if i%100 == 0 {
			held += h.Usable(p)
		} else {
			h.Free(p, CallFree)
		}
	}
	require.Positive(t, h.Trim())
	check(t, h, held)
	var s Stats
	h.Stats(&s)
	require.Zero(t, s.PerCPU+s.Transfer)
	require.Zero(t, s.FillerFree+s.Cache, "free pages have no memory")
	for i := 0; i < len(live); i += 100 {
		require.Equal(t, -1, intact(live[i], 16, 16, uint64(i)))
		h.Free(live[i], CallFree)
	}
	h.Trim()
	check(t, h, 0)
	require.Zero(t, h.Trim(), "there is nothing left to return")
	h.ForkBegin(0)
	require.Zero(t, h.Trim())
	h.ForkParent()
}

func TestAFolderWithTooLongANameIsRefusedInOneLine(t *testing.T) {
	dir := append(bytes.Repeat([]byte("/long"), 100), 0)
	text := stderrOf(t, func() {
		h := newHeap(t, Options{Config: config.Config{StatsDir: uintptr(unsafe.Pointer(&dir[0]))}})
		require.False(t, h.published.open)
		require.NotZero(t, h.Malloc(100))
	})
	require.Regexp(t, `^vcmalloc: VCMALLOC_STATS_DIR: can't make /long.*\(error 36\).*\n$`, text)
}

func TestPublishingDoesNotWaitForAForkThatWaitsForIt(t *testing.T) {
	dir := append([]byte(t.TempDir()), 0)
	h := newHeap(t, Options{Config: config.Config{StatsDir: uintptr(unsafe.Pointer(&dir[0]))}})
	h.Malloc(100)
	require.True(t, h.published.open)
	g := h.enter()
	h.forking = 1 // a fork that began meanwhile and waits for us to leave
	h.publish(1)
	h.forking = 0
	h.leave(g)
	require.NotZero(t, h.block().Total.Mapped)
	require.EqualValues(t, 1, h.block().Total.UsedObjects)
	require.Zero(t, h.block().Sequence%2)
	name := fmt.Sprintf("%s/vcmalloc.%d", dir[:len(dir)-1], os.Getpid()) // before dir is overwritten
	file, err := os.Stat(name)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), file.Mode())
	h.Malloc(100)
	copy(dir, "/nowhere") // as a program that sets its title writes over its environment
	h.Unpublish()
	require.NoFileExists(t, name)
	require.EqualValues(t, 2, h.block().Total.UsedObjects, "who has the file open sees the end")
}
