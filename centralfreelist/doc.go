// Package centralfreelist keeps, for each size class, the spans that have free objects. It is the tier where
// single objects become spans' objects again: caches above move batches of addresses, the page heap below
// moves spans.
//
// Span prioritisation (paper section 5.4.3): the more live objects a span has, the less likely it will ever
// be returned. So a list's spans stand in 8 sublists by occupancy and allocation takes from the fullest;
// nearly empty spans are left alone and drain. With the design switched off there is one sublist, which is
// the legacy order: last touched first.
//
// Invariants: a span is in a sublist if and only if it has a free object and an allocated one; a span whose
// last object comes back is returned to the page heap at once; objects handed out + free objects = capacity
// of the live spans.
//
// Pools: where NUMA nodes have page heaps of their own, they have lists of their own too: a list holds spans of one node.
// Objects that come back are told apart by their addresses (Split), and Remove's callers say which node's they want.
// Hinted objects (pageheap.Hint) have further lists, by node and hint. They are not cached above: whoever asks for one,
// or frees one, comes here, and the page map hides their class from everybody who would not know.
//
// Domains: where several last-level cache domains are in use, spans stand apart by the domain that most of their free
// objects came from, and a domain takes from its own first (shelves.go). A new span is made only when none has room.
//
// Lock order: a list's lock is a leaf but for the span table it reads. It is never held while calling the
// page heap: Remove drops it before asking for a span, Insert gathers emptied spans and returns them after.
package centralfreelist
