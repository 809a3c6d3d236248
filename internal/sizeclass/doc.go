// Package sizeclass maps request sizes to the size classes that serve them. Every object of at most
// 256 KiB comes from a span, a run of 8 KiB pages cut into objects of one class's size.
//
// # The table
//
// The sizes are chosen by a dynamic programme (gen), which minimises the memory expected to be lost to
// rounding up, to the tail of a span and to its 64 bytes of metadata, when sizes are distributed as in
// figure 5.7 of the paper: below 1 KiB 98 % of objects and 28 % of bytes, above 8 KiB half of the bytes,
// above 256 KiB 22 %. "go run ./internal/sizeclass/gen -waste" prints what each class loses: 6.8 % of
// the memory of small objects in all, 5.9 % of it rounding; four classes per octave lose 9.7 %, powers
// of two 26.6 %, and eight per octave, with ten classes more than ours, 6.9 %. The distribution is a
// model fitted to those few numbers, not a trace; bench reports the waste of real programs.
//
// # Invariants
//
// Tests hold each of these, for every size and every offset:
//
//   - Ids 1..NumClasses-1 strictly increase in size, from 8 bytes to exactly 256 KiB; id 0 is "none".
//     Class 1 (8 bytes) serves operator new only; malloc starts at class 2 (16 bytes).
//   - Sizes are multiples of 16 (but for 8), above 1 KiB of 128: what the lookup slots need, and what
//     aligns every object of malloc to 16 bytes.
//   - A request gets the smallest class that holds it. At most 15 bytes are lost up to 128 bytes, at most
//     a fifth of the request above: neighbours are at most 20 % apart.
//   - Powers of two are classes. The object size is a multiple of the alignment asked for, and spans
//     begin at a page, so alignments up to the page need no other mechanism.
//   - Objects of 32 bytes and more: at most 256 in a span, so that a bitmap of 256 bits (four words) holds
//     the free ones. Objects of 8 and 16 bytes: one page, whose 1024 or 512 places need an index of ten bits.
//   - Spans of more than 16 objects, and all of at most 1 KiB objects, are one page. 16 is the bound by
//     which the hugepage filler tells short-lived spans from long-lived ones (paper section 5.4.4), and
//     one page lets free find the offset within the span in the pointer's low 13 bits.
//   - A span has at most 32 pages, what one object of 256 KiB needs, and a tail of at most 1/16. Pages
//     beyond those of one object are charged 0.5 % each in the choice: the more objects a span holds, the
//     less likely it ever becomes free (paper section 5.4.3).
//   - Batch is clamp(64 KiB / size, 2, 32) objects: a move between tiers costs one lock, and carries at
//     most 64 KiB as long as that is two objects.
//
// # Lookup
//
// One array of bytes serves every entry point, see [Lookup]: slots of 8 bytes up to 1 KiB (129 entries,
// about two cache lines), of 128 bytes above. malloc and operator new differ only in the index.
//
// # Use
//
// The package belongs to the runtime-free core: its tables are literals of plain numbers without
// pointers, nothing runs at initialisation, nothing allocates, no function here divides. All functions
// are pure and safe for concurrent use.
package sizeclass
