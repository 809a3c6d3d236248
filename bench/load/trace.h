/* The two formats of traces. bench/fleet/trace.go has the same layout. */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stdint.h>

enum { OP_ALLOC = 1, OP_FREE = 2 };

/* What the recorder writes: in order within a thread, threads interleaved in blocks. */
struct raw_event {
	uint64_t when;	  /* nanoseconds; of a free before it, of an allocation after it */
	uint64_t pointer;
	uint64_t size;	  /* as asked for; 0 of a free */
	uint32_t thread;
	uint8_t op, align; /* log2, 0 if none was asked for */
	uint8_t pad[2];
};

/* What is replayed: sorted by time, pointers replaced by slots, which are used again only after the free. */
struct event {
	uint64_t size;
	uint32_t slot;
	uint16_t thread;
	uint8_t op, align;
};

struct trace_header {
	char magic[8]; /* "VCTRACE1" */
	uint64_t events;
	uint32_t slots, threads;
};

#endif
