/* Offsets of struct vcm_fast (internal/cdoor.Fast; a test compares them) and of struct rseq, for C and
 * assembly. */
#ifndef VCM_FAST_H
#define VCM_FAST_H

#define FAST_BASE 0
#define FAST_LIMIT 8
#define FAST_CLASSES 16
#define FAST_SPANIDS 24
#define FAST_SPANS 32
#define FAST_RSEQ 40
#define FAST_VCPU 48
#define FAST_WANTED 56
#define FAST_FLAGS 60
#define FAST_FINE 64
#define FAST_SMALL 72
#define FAST_FINE_DERIVED 80
#define FAST_SMALL_DERIVED 88
#define FAST_LIMIT_DERIVED 96
#define FAST_MARK 104
#define FAST_LOCKS 112
#define FAST_STARTS 128
#define FAST_LONG_STARTS 896
#define FAST_SIZES 1664
#define FAST_LOOKUP 2048
#define FAST_BYTES 4224

/* internal/sizeclass: slots of the lookup table. */
#define FINE_MAX 1024
#define COARSE_BIAS 120
#define MAX_SMALL 262144
#define PAGES_FROM 32768 /* heap.PagesFrom */
#define SOLE_ABOVE 45056

#define PAGE_SHIFT 13
#define PAGE_MASK 8191
#define SPAN_SHIFT 6
#define LOCK_SHIFT 11

/* percpu: the ends in a slab, behind 96 headers */
#define SLAB_ENDS 768
/* Where vcm_fast lies in its page: where a slab has its begins in its own, which no fast path reads or writes. Its first
 * words, which each call loads, must not have the low 12 bits of a header just stored (docs/design.md). */
#define BLOCK_AT 960

/* struct thread of vcm.h */
#define THREAD_DEPTH 0
#define THREAD_TURN 8

#define RSEQ_CPU_ID 4
#define RSEQ_CS 8
#define RSEQ_MM_CID 24
#define RSEQ_SIG 0x53053053

/* internal/heap.Call, and the flags above it (internal/cdoor). */
#define CALL_FREE 0
#define CALL_REALLOC 1
#define CALL_REALLOCARRAY 2
#define CALL_DELETE 3
#define CALL_DELETE_ARRAY 4
#define CALL_FREE_SIZED 5
#define CALL_FREE_ALIGNED_SIZED 6
#define CALL_SDALLOCX 7
#define CALL_CFREE 8
#define FLAG_NESTED 0x100
#define FLAG_NEW 0x200
#define FLAG_EXACT 0x400
#define FLAG_COLD 0x800

#endif
