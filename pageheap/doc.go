// Package pageheap gives out spans: runs of 8 KiB pages. It decides which hugepage a span lies on, because a
// hugepage that is filled densely, or empty and given back whole, is what keeps address translation cheap
// (paper section 5.4.4; FACTS.md sections 13 to 20 tell how the best-known allocator does it).
//
// Four places hold pages, from small requests to large:
//
//   - filler: hugepages that spans share. It takes requests below a hugepage and the tails of larger ones.
//     It fills the hugepage whose longest free run is the shortest that fits, among those the one with most
//     allocations, so that the others can empty. Spans of few objects and of many have sets of hugepages, which
//     are strict once the filler holds 128 MiB; below, a span goes to the other set before one is opened for it.
//   - regions: runs of hugepages in which large spans lie one behind another, for requests that would waste
//     much of their last hugepage. There are none until 64 MiB of such tails lie unused.
//   - cache: whole free hugepages, backed by memory or not, as two bitmaps. A request of a hugepage or more
//     takes a run from there. The unused end of its last hugepage is donated to the filler.
//   - vm.Space: the window, which grows when none has room.
//
// Policies lie beside what they steer, as pure functions: policy.go (what earns a hugepage, when one may be
// broken, how fast memory goes back), demand.go (what will be wanted again), brief.go (the same within milliseconds, for
// small heaps), limit.go, collapse.go.
//
// Life of a hugepage:
//
//	not grown -> unbacked --take--> whole ------------------------------> backed --release--> unbacked
//	                        |          ^ resize | shrink                   ^  |
//	                        +--open--> in the filler ------ emptied -------+  +--take, open-->
//	                                                  \---- emptied, partly released -> limbo -> unbacked
//	unbacked --openRegion--> in a region: untouched -> touched -> (emptied, released) untouched --dissolve--> free
//
// Where a span lies follows, unless its first hugepage is of a region, from its size: below 256 pages inside one
// filler hugepage; from 256 on at the start of a hugepage, with n/256 whole hugepages and, if n%256 != 0, one
// allocation at the start of the filler hugepage behind them. Freeing and resizing need no more than that.
//
// Knowledge of zero pages: an unbacked hugepage reads as zero. The filler keeps one bit a page, set when its
// hugepage is opened unbacked and when the page is released, cleared when the page is handed out.
//
// Invariants (Heap.Check verifies them; the sums hold whenever the lock is free):
//
//   - each hugepage grown is exactly one of: backed, unbacked, whole, in the filler, in a region, in limbo, pending
//     (address space grown whose metadata the system had no memory for).
//   - mapped = small + large + filler free + filler released + region free + cache + unbacked, to the byte.
//   - in a tracker: released is a subset of zero, zero a subset of not used; 0 < used pages < 256.
//   - a page's class and span are in the page map exactly while a span owns it.
//
// NUMA: several heaps may share one window (AddNode, nodes.go), one for each node; the heap of Init is their home. A
// hugepage belongs to one heap for ever, and with it every span on it; SpanOf, Free and TryResize find the heap by
// themselves, Release, Background, Collapse, SetLimits, Stats and Check go over all, and limits hold for the sum. What
// follows holds for each heap, mapped being its own part. A heap that is alone pays a branch for all this.
//
// A never touched page of a filler hugepage counts as free, or, where the hugepage is in small pages (tracker.small), as
// released: it costs a fault like one that went back, so requests take touched ones first. "Backed" is an upper bound of
// what is resident: a hugepage in small pages that empties counts as backed whole, whatever it had.
//
// Memory goes back to the system only outside the lock and in steps of at most 64 MiB. Meanwhile the range
// is in limbo (hugepages: in no bitmap) or pinned (filler pages: marked used), so nobody can be given it.
//
// Locks: Heap.mu guards all but the window and the tables' growth, which growMu guards, and the span table, which
// has a lock of its own. Order: span.Table's lock, growMu, mu; so nothing here makes or deletes spans while it
// holds mu. Heaps of one window share the home heap's growMu and span table; no thread holds two heaps' mu.
// No system call is made while mu is held. Callers may hold a central free list's lock. Page map entries and Span fields
// are written without a lock by the thread that owns the pages.
package pageheap
