// Package tiers measures what an allocation costs that is served by each tier, as the paper's Fig. 5.4 does.
//
// A puppet program (bench/load/tiers.c) allocates as it is told. Between its steps this package reads the
// library's own counters from its statistics block, chooses the next step by them, and afterwards proves by their
// differences which tier served: a figure without the proof is an error, not a figure.
//
// Peers have no such counters. They do the same steps where these mean something for any allocator (a cached
// object, a large block, fresh memory), and stand beside ours as what the same request costs there.
package tiers
