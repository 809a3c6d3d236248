/* What the C files of the library share. Everything here is hidden; the exported symbols are in exports.map. */
#ifndef VCM_H
#define VCM_H

#include <stddef.h>
#include <stdint.h>

#include "fast.h"

#define HIDDEN __attribute__((visibility("hidden")))
#define EXPORT __attribute__((visibility("default")))
#define unlikely(x) __builtin_expect(!!(x), 0)

/* internal/cdoor.Fast, as far as C reads it. */
struct vcm_fast {
	uintptr_t base, limit, classes, span_ids, spans;
	int64_t rseq, vcpu;
	uint32_t wanted, flags;
	/* ...and what only the assembly reads: fast.h */
};
#define WANT_THREAD 1
#define STATS_AT_EXIT 1
#define NO_THREAD 2

/* internal/cdoor.Params. */
struct vcm_params {
	uintptr_t fast, table, empty;
	uintptr_t seq_vcpu, seq_pop, seq_push, seq_popn, seq_end, seq_swap;
	uintptr_t envp, secure;
	uint64_t seed;
	int64_t rseq;
	uintptr_t has_rseq, has_mm_cid;
	int64_t slot_mm_cid, slot_cpu_id;
	int64_t unregistered;
	uintptr_t replaced;
	uintptr_t cpu, turn;
	uintptr_t slabs; /* the answer: how many slabs there may be */
};

/* internal/cdoor.StatsRequest. */
struct vcm_stats_request {
	uintptr_t kind, buf, len;
	uintptr_t mapped, used, large, large_objects, cached, cached_per_cpu, page_heap_free, released, slack, meta, side,
		per_cpu_populated;
};
enum { STATS_NUMBERS, STATS_TEXT, STATS_XML };

extern HIDDEN struct vcm_fast vcm_fast;
extern HIDDEN char vcm_block[]; /* vcm_fast again, with the tables behind it: fast.h has the offsets */
/* What is known of a thread. */
struct thread {
	int depth;	/* how often it is between vcm_enter and vcm_leave, or holds a slab's lock */
	int registered; /* it has tried to register its rseq area */
	int turn;	/* which slab it uses where locks guard them, from 1; 0: not chosen yet */
};
extern HIDDEN __thread struct thread vcm_self __attribute__((tls_model("initial-exec")));

extern HIDDEN char vcm_empty[], vcm_slabs[];

/* fast.S */
HIDDEN void *vcm_malloc(size_t);
HIDDEN void vcm_free(void *);
HIDDEN void *vcm_pop(uintptr_t class);
HIDDEN void vcm_seq_vcpu(void), vcm_seq_pop(void), vcm_seq_push(void), vcm_seq_popn(void), vcm_seq_end(void);
HIDDEN void vcm_seq_swap(void);

HIDDEN int vcm_seq_test(_Atomic uint32_t *fences, long tries);

/* entry.S: the Go core */
HIDDEN uintptr_t vcm_go_boot(struct vcm_params *);
HIDDEN void *vcm_go_malloc(size_t, uintptr_t flags);
HIDDEN void *vcm_go_calloc(size_t, uintptr_t flags);
HIDDEN void *vcm_go_aligned(size_t, size_t align, uintptr_t flags);
HIDDEN void *vcm_go_realloc(void *, size_t, uintptr_t flags);
HIDDEN void vcm_go_free(void *, uintptr_t flags);
HIDDEN void vcm_go_free_checked(void *, uintptr_t class, uintptr_t flags);
HIDDEN void vcm_go_free_sized(void *, size_t, size_t align, uintptr_t flags);
HIDDEN size_t vcm_go_usable(void *);
HIDDEN size_t vcm_go_good(size_t, size_t align);
HIDDEN void vcm_go_fork_begin(uintptr_t own), vcm_go_fork_parent(void), vcm_go_fork_child(uintptr_t own);
HIDDEN uintptr_t vcm_go_background(void);
HIDDEN uintptr_t vcm_go_visit(uintptr_t cpu, uintptr_t reached);
#define VISIT_END (~(uintptr_t)0) /* internal/cdoor.Visit */
HIDDEN void vcm_go_use_locks(void);
HIDDEN uintptr_t vcm_go_trim(void);
HIDDEN uintptr_t vcm_go_release(size_t);
HIDDEN void vcm_go_exit(void);
HIDDEN uintptr_t vcm_go_stats(struct vcm_stats_request *);

/* boot.c: every way into the core goes through vcm_enter and vcm_leave. vcm_enter returns FLAG_NESTED in a
 * signal handler that interrupted its own thread in between, else 0. vcm_leave_allocation is for calls that
 * allocate: it may start the background thread. */
HIDDEN uintptr_t vcm_enter(void);
HIDDEN void vcm_leave(void);
HIDDEN void vcm_leave_allocation(void);
HIDDEN void *vcm_no_memory(void);
HIDDEN int vcm_background(void);

/* fence.c */
enum verdict { UNTESTED, UNPROVEN, ABORTED, NOT_ABORTED };
HIDDEN enum verdict vcm_test_fences(void);
HIDDEN enum verdict vcm_test_preemption(void);
HIDDEN void vcm_make_visits(void);
HIDDEN void vcm_forget_visits(void);

/* new.c: whether the program brings its own operator new or delete */
HIDDEN int vcm_operators_replaced(void);

/* slow.c */
HIDDEN void *vcm_malloc_slow(size_t);
HIDDEN void *vcm_allocate(size_t, uintptr_t flags);
HIDDEN void *vcm_allocate_aligned(size_t, size_t align);
HIDDEN void vcm_release(void *, uintptr_t call);
HIDDEN void vcm_release_sized(void *, size_t, size_t align, uintptr_t flags);

/* quick.c */
HIDDEN void *vcm_quick_aligned(size_t, size_t align);
HIDDEN void *vcm_quick_zeroed(size_t);
HIDDEN void *vcm_quick_realloc(void *, size_t);

/* stats.c */
HIDDEN void vcm_keep_stderr(void);
HIDDEN void vcm_print_stats(void);

#endif
