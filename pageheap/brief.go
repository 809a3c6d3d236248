package pageheap

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// A small program swings by its own size within milliseconds: an image server holds 2 MiB, then 12, and has ended before
// a minute's history is of use. So demand is known at a short scale too, and what was not wanted for some milliseconds
// goes back at once, as long as that is cheap. What it costs is known afterwards: memory that was given back and is handed
// out again has to be faulted in once more. These faults, and the calls, are paid from a share of the processor time that
// the program uses; when that is used up, memory stays. Heaps of up to 32 MiB are eager: less patience, a larger share.

const (
	// briefSlots slots of briefNanos are the time for which memory must not have been wanted: 15 to 20 ms, or with
	// eagerSlots 5 to 10.
	briefSlots = 3
	eagerSlots = 1
	briefNanos = 5e6
	// briefCalls is how many allocations and frees pass between looks at the clocks, two system calls of 100 ns and more.
	// Looks that follow each other within briefSoon become rarer, up to one in briefRare calls: malloc and free of 1 MiB in
	// a loop took twice as long otherwise.
	briefCalls = 16
	briefRare  = 512
	briefSoon  = 200e3
	// briefLeast is what is worth a look, in pages: 256 KiB.
	briefLeast = 32
	// briefMost bounds what one look gives back, 8 MiB: some milliseconds of a caller's time where memory is dear.
	briefMost = 8 << 20
	// briefBelow is how large a heap may be, in hugepages: 64 MiB, where the background thread starts. A service of 82 MiB
	// whose load swings lost 3.6 % of its throughput with a bound of 256 MiB.
	briefBelow = 32
	// eagerBelow is up to where it is eager, 32 MiB: all of that is in small pages, and the free memory between two
	// pictures of an image server is as much as it has in use.
	eagerBelow = unhuged

	// briefShare is the part of the processor time that it may cost, eagerShare that for an eager heap, and briefSaved what
	// may be saved up, in nanoseconds; a program begins with briefFirst.
	briefShare = 100
	eagerShare = 16
	briefSaved = 20e6
	briefFirst = 10e6
	// What faults cost, in nanoseconds: two system pages of 4 KiB, or a hugepage. Measured in a virtual machine (FACTS.md has
	// a quarter for others): there they cost too much rather than too little.
	pageFaults = 2 * 2000
	hugeFault  = 200e3
	// briefRun is how long a run of pages must be, 64 KiB: with several threads each call interrupts the other processors,
	// which costs 5 us and more in a virtual machine.
	briefRun = 8
	// adviseMost bounds what the calls of a look are charged: beyond it the thread was not running.
	adviseMost = 2e6
)

// brief is demand at the short scale, and the account of what giving back costs. Guarded by Heap.mu, but for due and busy.
type brief struct {
	pages, huge  [briefSlots + 1]uint32 // greatest values in use, of the filler's pages and of hugepages; [0] is the current slot's
	began        int64                  // when that slot did
	calls, every uint32                 // since the last look; how many until the next
	looked       int64                  // when that was
	due, busy    uint32                 // atomic

	balance            int64  // nanoseconds that may be spent
	cpu                int64  // processor time at the last look
	lentPages          uint32 // given back, and not wanted again so far
	lentHuge           uint32
	seenPages, seenAll uint64 // of filler.refilled and cache.refilled at the last look
}

func (b *brief) init() { b.balance, b.every = briefFirst, briefCalls }

// briefly takes down what is in use, after a change. Caller holds mu.
func (h *Heap) briefly() {
	b := &h.brief
	b.pages[0] = max(b.pages[0], h.filler.inUse())
	b.huge[0] = max(b.huge[0], h.hugeInUse())
	if b.calls++; b.calls >= b.every && h.freePages() >= briefLeast {
		b.calls = 0
		atomic.StoreUint32(&h.root().brief.due, 1)
	}
}

// Untidy reports whether Tidy is worth a call. It needs no lock.
func (h *Heap) Untidy() bool { return atomic.LoadUint32(&h.brief.due) != 0 }

// Tidy gives back what has not been wanted for 20 ms, in heaps of up to 64 MiB, for a hundredth of the processor time at
// most, and returns how many bytes. now is a clock, cpu the processor time used so far, both in nanoseconds. Call it
// while Untidy; others at it meanwhile make it return at once.
func (h *Heap) Tidy(now, cpu int64) (done units.Bytes) {
	r := h.root()
	if !atomic.CompareAndSwapUint32(&r.brief.busy, 0, 1) {
		return 0
	}
	atomic.StoreUint32(&r.brief.due, 0)
	for i := range r.Nodes() {
		done += r.Node(i).tidy(now, cpu)
	}
	atomic.StoreUint32(&r.brief.busy, 0)
	return done
}

func (h *Heap) tidy(now, cpu int64) (done units.Bytes) {
	whole, pages, end := h.unwantedBriefly(now, cpu)
	if whole|pages == 0 {
		return 0
	}
	start := sys.Now()
	if whole != 0 {
		done = h.releaseCache(units.Bytes(whole) << units.HugePageShift)
		whole = uint32(done >> units.HugePageShift)
	}
	if pages != 0 {
		got := h.subrelease(units.Bytes(pages)<<units.PageShift, end, briefRun)
		pages = uint32(got >> units.PageShift)
		done += got
	}
	took := min(max(sys.Now()-start, 0), adviseMost)
	h.mu.Lock()
	b := &h.brief
	b.balance -= took
	if done != 0 {
		if uint32(h.hugeGrown) <= unhuged || !h.window().HugePagesWanted() { // what comes back does so page by page
			b.lentPages += whole * perHuge
		} else {
			b.lentHuge += whole
		}
		b.lentPages += pages
	}
	h.mu.Unlock()
	return done
}

// unwantedBriefly is how many free hugepages, and free pages of hugepages of a rank below end, are to be released.
func (h *Heap) unwantedBriefly(now, cpu int64) (whole, pages, end uint32) {
	h.mu.Lock()
	b := &h.brief
	b.pace(now)
	if now-b.began >= briefNanos {
		b.settle(h, cpu)
		if b.balance > 0 && uint32(h.hugeGrown) <= briefBelow {
			inUse := h.filler.inUse()
			slots, _ := patience(uint32(h.hugeGrown))
			whole = surplus(h.cache.backed, h.hugeInUse(), greatest(&b.huge, slots))
			pages = surplus(uint32(min(h.filler.free, 1<<31)), inUse, greatest(&b.pages, slots))
			if pages < briefLeast {
				pages = 0
			}
			whole = min(whole, briefMost>>units.HugePageShift)
			pages = min(pages, briefMost>>units.PageShift)
		}
		copy(b.pages[1:], b.pages[:briefSlots])
		copy(b.huge[1:], b.huge[:briefSlots])
		b.pages[0], b.huge[0] = h.filler.inUse(), h.hugeInUse()
		b.began = now
	}
	h.mu.Unlock()
	return whole, pages, intact
}

// pace says when to look again after a look.
func (b *brief) pace(now int64) {
	if now-b.looked < briefSoon {
		b.every = min(2*b.every, briefRare)
	} else {
		b.every = briefCalls
	}
	b.looked = now
}

// settle charges what was wanted again since the last look. Had it not been given back, it would not have been faulted in,
// whichever pages these were.
func (b *brief) settle(h *Heap, cpu int64) {
	if b.cpu != 0 {
		_, share := patience(uint32(h.hugeGrown))
		b.balance = min(b.balance+(cpu-b.cpu)/share, briefSaved)
	}
	b.cpu = cpu
	n := uint32(min(h.filler.refilled-b.seenPages, uint64(b.lentPages)))
	b.lentPages -= n
	b.balance -= int64(n) * pageFaults
	b.seenPages = h.filler.refilled
	n = uint32(min(h.cache.refilled-b.seenAll, uint64(b.lentHuge)))
	b.lentHuge -= n
	b.balance -= int64(n) * hugeFault
	b.seenAll = h.cache.refilled
}

// fade forgets an eighth of what was given back and not wanted since, once a second: Background would have given it back.
func (b *brief) fade() {
	b.lentPages -= b.lentPages / 8
	b.lentHuge -= b.lentHuge / 8
}

// patience is how many slots a heap of so many hugepages waits beside the current one, and which part of the processor
// time it may spend.
func patience(huge uint32) (slots uint32, share int64) {
	if huge <= eagerBelow {
		return eagerSlots, eagerShare
	}
	return briefSlots, briefShare
}

// greatest value of the current slot and as many before it.
func greatest(v *[briefSlots + 1]uint32, slots uint32) (most uint32) {
	for _, x := range v[:min(slots, briefSlots)+1] {
		most = max(most, x)
	}
	return most
}
