package alloc

import (
	"sync"
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/percpu"
)

// Stashes: beside its slab each P keeps freed objects of whole pages, for the next request of as many. They are what the
// slab, whose budget is for small objects, has no place for: objects above the size classes, and of the size classes
// from stashFrom on those that do not fit the slab.
//
// A stash is guarded as the slab is (percpu/doc.go): the P's owner announces itself by Inside and finds the stash in its
// record; who wants it from another thread puts the empty stash there, fences, waits until Inside is 0, and puts it
// back. What the empty stash has no room for and does not have is the slow path's, as ever.
//
// How much a P may keep begins at stashFirst bytes and grows on proof: a request that finds nothing, after there was no
// room for what was freed in the same five seconds. It grows by what found no room, at most to the double, as a
// class of a slab does. All growth together stays below half of the heap or stashFloor, whichever is more, and
// below a sixteenth of the memory limit; where that is spent, Ps lose the room they have not used since the last look to
// one that wants to grow. With a quarter and 64 MiB, and no way back but the five seconds, 64 objects of a MiB at a
// time took 150 to 860 ns each instead of 20. What lay untouched since the last look makes room for what is freed; every
// five seconds the background goroutine looks, and gives that back, with the room it had; while
// memory is short, all. It gives back all before it ends, and without it (VCMALLOC_BACKGROUND=0) nothing grows.

const (
	// stashFirst is what a P may keep without proof, in bytes: a hugepage.
	stashFirst = units.HugePageSize
	// stashFloor is what all may keep beyond that, however small the heap is: a batch of 64 objects of a MiB, on two Ps.
	stashFloor = 128 << 20
	// stashShare is the part of a larger heap that they may keep.
	stashShare = 2
	// limitShare is the part of the memory limit that they may keep beyond stashFirst, if there is a limit.
	limitShare = 16
	// stashFrom is the least size class that is stashed, in bytes: of smaller ones a slab holds a hundred and more.
	stashFrom = 32 << 10
	// maxStashed is the largest object that is stashed, in bytes.
	maxStashed = 32 << 20
	// stashRob is how many nanoseconds lie between two looks for room that other Ps do not use, where all may grow no more: a
	// look takes some 10 us.
	stashRob = 20_000_000
	// stashTicks is how many seconds lie between two looks.
	stashTicks = 5
	// stashDecay is the part of its room beyond stashFirst that a P loses in five seconds in which it missed nothing.
	stashDecay = 8
)

// An entry has room for the number of pages.
const _ = uint(units.PageSize - 1 - maxStashed>>units.PageShift)

// stashes is all of them.
var stashes struct {
	table uintptr      // by P; 0: there are none
	empty uintptr      // the stash without room, which is everybody's
	extra atomic.Int64 // bytes that limits have grown by
	most  atomic.Int64 // that they may grow by
	open  atomic.Bool  // Ps may get theirs
	tight atomic.Bool  // one wanted to grow and might not
	rob   atomic.Int64 // when room may be looked for again, as of sys.Now

	count sync.Mutex
	aside heap.Aside // as last told; guarded by count

	mu   sync.Mutex // of who takes stashes from their Ps; not taken while pinned
	used [minPs]bool
	high atomic.Uintptr // one past the last P that has one
}

// initStashes makes room for a stash for each P. Preconditions: door.ps and door.records are set.
func initStashes() {
	n := min(door.ps, minPs) + 1
	table, e := sys.Mmap(0, n<<stashShift, sys.ProtRead|sys.ProtWrite, sys.MapPrivate)
	if e != 0 {
		return // works without
	}
	stashes.empty = table + (n-1)<<stashShift
	for v := range door.ps {
		percpu.PinnedAt(door.records, v).Stash = stashes.empty
	}
	for c := units.ClassID(1); c < sizeclass.NumClasses; c++ {
		if n := sizeclass.Size(c); n >= stashFrom && n%units.PageSize == 0 {
			door.whole[c] = uint8(n >> units.PageShift)
		}
	}
	stashes.open.Store(background.off)
	stashes.table = table
}

// openStash lets P v have its stash from now on.
func openStash(v uintptr) {
	s := &stashes
	if v >= minPs || !s.open.Load() {
		return
	}
	s.mu.Lock()
	if s.open.Load() && !s.used[v] {
		s.used[v] = true
		a := s.table + v<<stashShift
		stashAt(a).limit = stashFirst
		atomic.StoreUintptr(&percpu.PinnedAt(door.records, v).Stash, a)
		s.high.Store(max(s.high.Load(), v+1))
	}
	s.mu.Unlock()
}

// takeStashed returns an object of so many pages from the P's stash, or 0. Its contents are undefined.
func takeStashed(pages uintptr) (p uintptr) {
	if v := uintptr(procPin()); v < door.ps {
		r := percpu.PinnedAt(door.records, v)
		r.Inside = 1
		s := stashAt(r.Stash) // once: it may be taken from the P meanwhile
		if p = s.pop(pages); p == 0 && r.Stash != stashes.empty {
			s.misses++
			if s.spilled != 0 {
				s.grow(pages << units.PageShift)
			}
		}
		r.Inside = 0
	}
	procUnpin()
	if p != 0 {
		sys.Store64(p, 0) // the mark
	}
	return p
}

// grow raises the limit by what found no room before an object of size bytes was missed. Preconditions: the caller owns
// the stash.
func (s *stash) grow(size uintptr) {
	more := int64(min(max(s.spilled, size), max(s.limit, size)))
	s.spilled = 0
	if over := stashes.extra.Add(more) - stashes.most.Load(); over > 0 {
		over = min(over, more)
		stashes.extra.Add(-over)
		more -= over
		stashes.tight.Store(true)
	}
	s.limit += uintptr(more)
}

// robStashes takes the room that Ps have not used since the last look, for one that wanted to grow and might not.
func robStashes() {
	s := &stashes
	s.tight.Store(false)
	if now, at := sys.Now(), s.rob.Load(); now < at || !s.rob.CompareAndSwap(at, now+stashRob) {
		return
	}
	if limitStashes(core.Short()); s.extra.Load() >= s.most.Load() { // the heap has not grown meanwhile
		trimStashes()
	}
}

// putStashed keeps the object at p, of so many pages, in the P's stash, if that has room. It is marked as small objects
// are, so that a second free is suspected by its first word and proved by the stashes.
func putStashed(p, pages uintptr) (ok bool) {
	var old [8]uintptr // of the least class that is stashed they make room for one of the largest
	leave := old[:0]
	v := uintptr(procPin())
	closed := false
	if v < door.ps {
		r := percpu.PinnedAt(door.records, v)
		r.Inside = 1
		if at := r.Stash; at == stashes.empty {
			closed = true
		} else if ok = stashAt(at).push(p, pages, &leave); ok {
			sys.Store64(p, door.mark)
		}
		r.Inside = 0
	}
	procUnpin()
	if closed {
		openStash(v)
	}
	freeStashed(leave)
	return ok
}

// isStashed reports whether the object at p is free, in a stash.
func isStashed(p uintptr) bool {
	for v := range stashes.high.Load() {
		if stashAt(stashes.table + v<<stashShift).holds(p) {
			return true
		}
	}
	return false
}

// countStashes tells the heap what is kept, for its statistics, and returns how many bytes of it lie in objects above the
// size classes. missed is how many calls stashes could not serve.
func countStashes() (large uintptr, missed uint64) {
	if stashes.high.Load() == 0 {
		return 0, 0
	}
	stashes.count.Lock()
	defer stashes.count.Unlock()
	a := &stashes.aside
	*a = heap.Aside{}
	for v := range stashes.high.Load() {
		s := stashAt(stashes.table + v<<stashShift)
		missed += s.misses
		for _, w := range s.entries[:min(s.top, stashEntries)] { // while the P works on them: a snapshot, within a few
			if w-door.base >= core.Addresses().Grown {
				continue
			}
			n := w & (units.PageSize - 1) << units.PageShift
			if c := sys.Byte(door.classes + (w-door.base)>>units.PageShift); c != 0 && n <= units.MaxSmall {
				a.Objects[c]++
			} else {
				a.LargeObjects, a.Large = a.LargeObjects+1, a.Large+n
			}
		}
	}
	core.SetAside(a)
	return a.Large, missed
}

// eachStash takes all stashes from their Ps, calls f with each, and lets the Ps have them again if f says so.
// Preconditions: stashes.mu is held.
func eachStash(f func(s *stash) (again bool)) {
	st := &stashes
	for v := range st.high.Load() {
		if st.used[v] {
			atomic.StoreUintptr(&percpu.PinnedAt(door.records, v).Stash, st.empty)
		}
	}
	fenced := core.Front.FencePinned() // it has succeeded before: percpu saw to that
	for v := range st.high.Load() {
		if !st.used[v] {
			continue
		}
		r, a := percpu.PinnedAt(door.records, v), st.table+v<<stashShift
		r.WaitOutside()
		if st.used[v] = !fenced || f(stashAt(a)); st.used[v] {
			atomic.StoreUintptr(&r.Stash, a)
		}
	}
}

// trimStashes gives back what has not been wanted since the last call, and the room it had.
func trimStashes() {
	if stashes.high.Load() == 0 {
		return
	}
	var leave []uintptr
	stashes.mu.Lock()
	eachStash(func(s *stash) bool {
		before := s.bytes
		leave = s.cut(s.low, leave)
		lost := before - s.bytes
		if !s.missed {
			lost = max(lost, (s.limit-stashFirst)/stashDecay)
		}
		s.shrink(lost)
		s.low, s.spilled, s.missed = s.top, 0, false
		return true
	})
	stashes.mu.Unlock()
	freeStashed(leave)
}

// shrink lowers the limit by n bytes, but to no less than all begin with. Preconditions: the caller owns the stash.
func (s *stash) shrink(n uintptr) {
	n = min(n, s.limit-stashFirst)
	s.limit -= n
	stashes.extra.Add(-int64(n))
}

// dropStashes gives back all that is kept and reports whether there was anything. forGood says that no P gets its
// stash again until openStashes.
func dropStashes(forGood bool) (any bool) {
	if stashes.high.Load() == 0 {
		return false
	}
	var leave []uintptr
	stashes.mu.Lock()
	if forGood {
		stashes.open.Store(false)
	}
	eachStash(func(s *stash) bool {
		leave = s.cut(s.top, leave)
		s.shrink(s.limit)
		s.low, s.spilled, s.missed = 0, 0, false
		return !forGood
	})
	stashes.mu.Unlock()
	freeStashed(leave)
	return len(leave) > 0
}

// openStashes lets Ps have stashes, which may grow according to the size of the heap.
func openStashes() {
	if stashes.table != 0 {
		stashes.open.Store(true)
		limitStashes(false)
	}
}

// limitStashes sets how far all may grow. While memory is short they give back all they have.
func limitStashes(short bool) {
	if short {
		stashes.most.Store(0)
		dropStashes(false)
		return
	}
	procPin() // as for all that takes a lock of the heap's
	limit := core.SoftLimit()
	procUnpin()
	most := max(stashFloor, core.Addresses().Grown/stashShare)
	stashes.most.Store(int64(min(most, limit/limitShare)))
}

// freeStashed gives objects back to the heap, one by one: a pin must be short.
func freeStashed(entries []uintptr) {
	for _, w := range entries {
		p := w &^ (units.PageSize - 1)
		c := units.ClassID(sys.Byte(door.classes + (p-door.base)>>units.PageShift))
		procPin()
		if c != 0 {
			core.FreeChecked(p, c)
		} else {
			core.Free(p, heap.CallFree)
		}
		procUnpin()
	}
}
