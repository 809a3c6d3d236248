// Package transfer caches batches of objects between the per-CPU caches and the central free list, so that
// what one CPU frees another can allocate without touching spans.
//
// # A cache
//
// Per size class there is a flat LIFO array of object addresses under a lock. A full array passes objects
// down, an empty one asks below. Capacity is counted in objects. Each class has a little of its own (sharedSizes); more
// it takes from one budget in bytes, a few percent of the heap (budget.go), when it is found empty and full in turn:
// that proves that a larger array would have kept the objects. A stream that only comes or only goes proves nothing, gets
// nothing, and so strands nothing. What a class did not need for a second it loses, objects and capacity
// (Plunder); while the budget is spent, capacity moves towards the classes that want it (Rebalance).
//
// # Domains (paper section 5.4.2)
//
// Handing an object to a CPU of another last-level cache costs about twice the latency of one's own. So each
// domain (package topology) that the process runs on has caches of its own, its shard, which serve only its
// CPUs; the shared caches stand behind them:
//
//	per-CPU caches -> shard of the CPU's domain -> shared caches -> central free list
//
// A virtual CPU's number says nothing about where its thread runs, so the shard is chosen by the number of
// the physical CPU, on this path only: a per-CPU cache has missed by then. What a background thread takes from another
// vCPU's cache goes to the shard of the domain that this last missed in (InsertFrom). Until Divide has found two domains,
// and while only one of them is in use, there are no shards: that is one predictable branch. A shard is mapped
// when its domain is first used beside another, plundered every second, and emptied when the domain has done
// nothing for some visits. With Legacy set there are the shared caches only.
//
// A shard's classes begin without capacity, and get it by the same proof: that the domain itself can use what it
// frees. A class that only comes (consumers that free) or only goes (producers that allocate) keeps none, so that
// whole batches pass by to where they are wanted. The budget is the same too: each domain in use adds to
// it, and that and half of the rest is kept for shards.
//
// What a shard has no room for is not lost to its domain. On a machine with several domains each object in the shared
// caches carries the domain that freed it, a byte beside the slot, and a span that of most of its frees
// (centralfreelist, Divide). Who finds his shard empty takes his own domain's objects from among the shared ones, then
// from its spans, and only then what others freed.
//
// So the statistics can tell how many objects were handed to another domain than the one that freed them, with shards
// and without. An object that a shard hands out was freed in its domain. What passes within one per-CPU cache is not counted here: package percpu counts
// what its caches carry to other domains.
//
// # NUMA nodes
//
// Where the process runs on several NUMA nodes, each has shared caches, central free lists and a page heap of its own
// (nodes.go). The first node in use has those that were there; another gets its own when a thread first misses on one of
// its CPUs. A batch that comes in is taken apart by its objects' addresses and each part goes to its node's caches; only
// the caller's own node's part may stay in its domain's shard. Who asks is served by his node, and by others only when
// that has no memory left. So what lies here, in a central list or a page heap is of one node; what lies in a per-CPU cache
// may be of any: the fast paths know nothing of nodes. With OneNode set, and on one node, all this is a branch.
//
// Invariants, whenever a cache's lock is free: the shared caches of a node hold its objects only;
// 0 <= used <= capacity <= maximum; low <= used. The bytes of capacity that classes of all groups have beyond their
// least, and those that the budget has left, are the budget's total, which only grows, with the heap.
//
// Lock order: a cache's lock is never held while calling the tier below, shards included. The locks of the
// domains' and of the nodes' states come before the page heap's and are held with no other.
package transfer
