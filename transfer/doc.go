// Package transfer caches batches of objects between the per-CPU caches and the central free list, so that
// what one CPU frees another can allocate without touching spans.
//
// Per size class there is a flat LIFO array of object addresses under a lock. A full array passes objects
// down, an empty one asks below. Capacity is counted in objects and moves in batches between classes towards
// those that miss (Rebalance); objects that nobody took since the last visit are given back (Plunder), so
// that a class whose load has gone holds nothing.
//
// Invariants, whenever a cache's lock is free: 0 <= used <= capacity <= maximum; low <= used. The bytes of
// capacity, those that Rebalance has taken from one class and not yet given another included, are constant.
//
// Lock order: a cache's lock is never held while calling the central free list.
package transfer
