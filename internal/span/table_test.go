package span

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

type tableModel struct {
	t     *testing.T
	space vm.Space
	mu    sys.GrowLock
	table Table
	live  []units.SpanID
	freed []units.SpanID // last freed last
}

func newTableModel(t *testing.T) *tableModel {
	m := &tableModel{t: t}
	if !m.space.Init(1) {
		t.Fatal("no address range")
	}
	t.Cleanup(m.space.Free)
	m.table.Init(&m.space)
	return m
}

func (m *tableModel) new() {
	m.t.Helper()
	id := m.table.New(&m.space, &m.mu)
	if id == 0 || slices.Contains(m.live, id) {
		m.t.Fatalf("id %d, %d live", id, len(m.live))
	}
	if n := len(m.freed); n > 0 {
		if id != m.freed[n-1] {
			m.t.Fatalf("id %d, but %d was freed last", id, m.freed[n-1])
		}
		m.freed = m.freed[:n-1]
	}
	m.table.At(id).Init(units.PageID(id)*3, units.Pages(id), 0)
	m.live = append(m.live, id)
}

func (m *tableModel) take(k int) units.SpanID {
	id := m.live[k]
	m.live = slices.Delete(m.live, k, k+1)
	m.freed = append(m.freed, id)
	return id
}

func (m *tableModel) check() {
	m.t.Helper()
	for _, id := range m.live {
		if s := m.table.At(id); *s != (Span{First: units.PageID(id) * 3, Pages: units.Pages(id)}) {
			m.t.Fatalf("span %d was changed: %+v", id, *s)
		}
		if a := uintptr(unsafe.Pointer(m.table.At(id))); a != m.table.Base()+uintptr(id)*64 || a%64 != 0 {
			m.t.Fatalf("span %d lies at %#x", id, a)
		}
	}
	for _, id := range m.freed {
		if s := m.table.At(id); s.First != 0 || s.Pages != 0 || s.Class != 0 || s.Capacity != 0 {
			m.t.Fatalf("unused span %d holds %+v", id, *s)
		}
	}
	if int(m.table.Live()) != len(m.live) || int(m.table.Made()) != len(m.live)+len(m.freed) {
		m.t.Fatalf("%d live, %d made; want %d, %d", m.table.Live(), m.table.Made(), len(m.live), len(m.live)+len(m.freed))
	}
}

func TestTableIDsAreUniqueAndReusedLastFreedFirst(t *testing.T) {
	m := newTableModel(t)
	r := rand.New(rand.NewPCG(1, 1))
	for round := range 300 {
		for range r.IntN(20) {
			m.new()
		}
		for range r.IntN(12) {
			if len(m.live) > 0 {
				m.table.Delete(m.take(r.IntN(len(m.live))))
			}
		}
		if round%10 == 0 {
			var ids []units.SpanID
			for range min(len(m.live), r.IntN(30)) {
				ids = append(ids, m.take(r.IntN(len(m.live))))
			}
			m.table.DeleteAll(ids)
		}
		m.check()
	}
	if m.space.MetaBytes() > 1<<20 {
		t.Errorf("%d bytes for %d spans", m.space.MetaBytes(), m.table.Made())
	}
}

func TestTableRefusesCleanlyWhenItCantGrow(t *testing.T) {
	m := newTableModel(t)
	m.new()
	wall := m.table.Base() + m.table.spans.Mapped()
	got, e := sys.Mmap(wall, 4096, sys.ProtRead, sys.MapPrivate|sys.MapFixedNoReplace)
	if e != 0 || got != wall {
		t.Fatal("mmap:", e)
	}
	for uintptr(len(m.live)+2)*64 <= m.table.spans.Mapped() {
		m.new()
	}
	for range 3 {
		if id := m.table.New(&m.space, &m.mu); id != 0 {
			t.Fatalf("id %d at %p, beyond what is mapped", id, m.table.At(id))
		}
	}
	m.check()
	given := make(chan struct{})
	go func() {
		m.mu.Lock()
		m.mu.Unlock()
		close(given)
	}()
	select {
	case <-given:
	case <-time.After(10 * time.Second):
		t.Fatal("the space's lock is still held")
	}
	m.table.Delete(m.take(5))
	m.new() // reuse needs no memory
	m.check()
}

func TestTableServesManyThreads(t *testing.T) {
	m := newTableModel(t)
	const threads = 4
	results := make([][]units.SpanID, threads)
	// A thread that sleeps in the lock can't be stopped: each has a P, and there is no collection.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads + 2))
	var wg sync.WaitGroup
	for i := range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := rand.New(rand.NewPCG(uint64(i), 7))
			var mine []units.SpanID
			for range 3000 {
				if len(mine) > 0 && r.IntN(3) == 0 {
					k := r.IntN(len(mine))
					id := mine[k]
					mine[k] = mine[len(mine)-1]
					mine = mine[:len(mine)-1]
					m.table.Delete(id)
					continue
				}
				id := m.table.New(&m.space, &m.mu)
				m.table.At(id).Init(units.PageID(i), units.Pages(id), 0)
				mine = append(mine, id)
			}
			results[i] = mine
		})
	}
	wg.Wait()
	seen := map[units.SpanID]bool{}
	for i, ids := range results {
		for _, id := range ids {
			if s := m.table.At(id); seen[id] || s.First != units.PageID(i) || s.Pages != units.Pages(id) {
				t.Fatalf("span %d of thread %d: %+v, seen %v", id, i, *s, seen[id])
			}
			seen[id] = true
		}
	}
	if int(m.table.Live()) != len(seen) {
		t.Errorf("%d live, want %d", m.table.Live(), len(seen))
	}
}
