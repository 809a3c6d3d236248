// Package span describes runs of pages: what they hold, and which of their objects are free.
//
// A Span is one cache line in a table indexed by SpanID; it never lies between user objects. A large span is
// one object. A small span holds Capacity objects of one size class, whose free ones are encoded in one of
// two ways, chosen by the class's object size:
//
//   - Bitmap, from 32 bytes up (at most 256 objects): bit k of the span says object k is free. Popping takes
//     the lowest addresses first, from the span's color on. A second free of an object is seen at once.
//   - Index list, for 8 and 16 bytes (1024 and 512 objects on a page), where a bitmap would take up to 128
//     bytes a span: free objects themselves hold 16-bit indices of others. A node holds the next node's
//     index and up to three more, in the last 8 bytes of the object, so that a 16-byte object keeps its
//     first word, where the front end marks freed objects. Objects never handed out are not in the list:
//     fresh counts those that were, so a new span's memory is not touched before it is used.
//
// Invariants: Allocated + free = Capacity; an object is popped exactly once between pushes.
//
// Lock: a small span is guarded by the lock of its class's central free list, except Page, Pages, Class
// and Hint, which do not change while the span lives. Table is guarded by its own lock, a leaf.
package span
