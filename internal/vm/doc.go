// Package vm gives a heap its addresses: one window that user pages come from and, in front of it, a slice
// for each metadata table.
//
//	base-meta                        base                                base+size
//	| table | table | ... (sparse)   | grown ............ | not mapped   |
//
// Nothing is reserved but 64 KiB at either end, by which spaces of one process see and avoid each other. A
// window of 1 TiB is a choice of base; only what is needed is mapped, in steps, with MAP_FIXED_NOREPLACE, so a
// small program's virtual size stays small and `ulimit -v` works. The window grows contiguously from its base.
// If somebody else's mapping stands in the way, growth goes on behind it and the gap is simply never handed
// out. Because page numbers count from base, a pointer is ours only if p-base < Grown(), and every metadata
// table is a flat array.
//
// State of an address: unmapped -> mapped (Grow, Table.Ensure) -> released and touched again any number of
// times (Release). Nothing mapped is ever unmapped, except when Space.Free returns a test's heap.
//
// A Space has no lock: one lock of the page heap guards Grow and the tables' Ensure. What needs none says so.
package vm
