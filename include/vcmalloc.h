/* vcmalloc's extensions to the malloc family. The standard functions are declared by the system's headers; a
 * program needs this one only to ask more than they offer. All functions are safe for concurrent use and
 * must not be called from signal handlers. */
#ifndef VCMALLOC_H
#define VCMALLOC_H

#include <stddef.h>

#define VCMALLOC_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the heap's memory is, in bytes. When no other thread allocates,
 * mapped = in_use + cached + slack + page_heap_free + released. */
struct vcmalloc_stats {
	size_t mapped;		/* address space handed out to the heap */
	size_t in_use;		/* objects in the program's hands, rounded up to size classes and pages */
	size_t cached;		/* free objects in per-CPU caches, transfer caches and spans */
	size_t slack;		/* ends of spans too short for an object */
	size_t page_heap_free;	/* free pages that have memory */
	size_t released;	/* free pages that have none: given back to the system, or never touched */
	size_t metadata;	/* mapped besides, for tables; touched as needed */
	size_t side;		/* mapped besides, for allocations that came while a fork was under way */
};

/* The version of the library that is loaded, such as "0.1.0". */
const char *vcmalloc_version(void);

/* Fills *stats. Returns 0, or -1 if nothing is known (yet). */
int vcmalloc_get_stats(struct vcmalloc_stats *stats);

/* Does the background work that is due: rebalancing caches, returning memory to the system. For programs that
 * set VCMALLOC_BACKGROUND=0 because they may have no thread beside their own; call it about once a second. */
void vcmalloc_background(void);

/* Returns at least `bytes` bytes of free memory to the system, or what there is: free hugepages first, then free
 * pages of hugepages in use. Memory in the caches stays (malloc_trim empties these too). Returns how many bytes this
 * call returned; what it returned beyond `bytes` counts for the next call, so that calls in a loop give a rate. At
 * most 1 GiB a call. Keeps errno. */
size_t vcmalloc_release(size_t bytes);

#ifdef __cplusplus
}

#endif
#endif
