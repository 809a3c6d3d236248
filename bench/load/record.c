/* The recorder of `bench record`: preloaded, it writes every allocation and free of the process to the file named by
 * BENCH_RECORD, with its process id at the end, and passes the call on to the next malloc in line (the program's own).
 *
 * Each thread has a buffer of its own; no lock is taken. A full buffer goes out with one append. The ones that are
 * part full go out when the thread, or the process, ends. Children of fork do not record until they call exec; a
 * process that calls exec begins its recording anew. realloc is recorded as
 * an allocation and a free. Allocations made before the recorder knows the next malloc come from a small static
 * heap and are not recorded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "trace.h"

enum { EVENTS = 4096 };

struct buffer {
	struct buffer *next;
	uint32_t thread;
	_Atomic uint32_t used;
	struct raw_event event[EVENTS];
};

static _Atomic(struct buffer *) buffers;
static _Atomic uint32_t threads;
static int fd = -1;
static _Atomic int on;
static pthread_key_t at_exit_key;
static __thread struct buffer *mine;
static __thread int inside;

static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);
static void *(*next_memalign)(size_t, size_t);
static int (*next_posix_memalign)(void **, size_t, size_t);

static char early[1 << 16] __attribute__((aligned(16)));
static size_t early_used;

static void *early_malloc(size_t n)
{
	n = (n + 31) & ~(size_t)15;
	if (early_used + n > sizeof early)
		_exit(97);
	char *p = early + early_used + 16;
	*(size_t *)(p - 16) = n - 16;
	early_used += n;
	return p;
}

static int is_early(void *p)
{
	return (char *)p >= early && (char *)p < early + sizeof early;
}

static void flush(struct buffer *b)
{
	uint32_t n = atomic_load_explicit(&b->used, memory_order_acquire);
	size_t left = n * sizeof b->event[0];
	for (char *p = (char *)b->event; left > 0;) {
		ssize_t k = write(fd, p, left);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		p += k;
		left -= k;
	}
	atomic_store_explicit(&b->used, 0, memory_order_relaxed);
}

static void thread_ends(void *p)
{
	flush(p); /* the buffer stays in the list: other destructors may still allocate, and flush_all takes that */
}

static void note(int op, void *p, size_t size, int align)
{
	if (!atomic_load_explicit(&on, memory_order_relaxed) || inside)
		return;
	inside = 1;
	int saved = errno;
	struct buffer *b = mine;
	if (b == NULL) {
		b = mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (b == MAP_FAILED)
			_exit(98);
		b->thread = atomic_fetch_add(&threads, 1);
		b->next = atomic_load(&buffers);
		while (!atomic_compare_exchange_weak(&buffers, &b->next, b))
			;
		mine = b;
		pthread_setspecific(at_exit_key, b);
	}
	uint32_t n = atomic_load_explicit(&b->used, memory_order_relaxed);
	if (n == EVENTS) {
		flush(b);
		n = 0;
	}
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	b->event[n] = (struct raw_event){.when = t.tv_sec * 1000000000ull + t.tv_nsec, .pointer = (uintptr_t)p,
		.size = size, .thread = b->thread, .op = op, .align = align};
	atomic_store_explicit(&b->used, n + 1, memory_order_release);
	errno = saved;
	inside = 0;
}

static void in_child(void)
{
	atomic_store(&on, 0);
}

/* Asked for again while it works, it leaves the caller to the early heap. */
static void resolve(void)
{
	static int busy;
	if (busy)
		return;
	busy = 1;
	next_calloc = dlsym(RTLD_NEXT, "calloc");
	next_realloc = dlsym(RTLD_NEXT, "realloc");
	next_free = dlsym(RTLD_NEXT, "free");
	next_memalign = dlsym(RTLD_NEXT, "memalign");
	next_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
	next_malloc = dlsym(RTLD_NEXT, "malloc");
	busy = 0;
}

__attribute__((constructor)) static void begin(void)
{
	if (next_malloc == NULL)
		resolve();
	const char *path = getenv("BENCH_RECORD");
	if (path == NULL || *path == 0)
		return;
	char name[4096];
	snprintf(name, sizeof name, "%s.%d", path, (int)getpid());
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	pthread_key_create(&at_exit_key, thread_ends);
	pthread_atfork(NULL, NULL, in_child);
	atomic_store(&on, 1);
}

__attribute__((destructor)) static void end(void)
{
	if (!atomic_exchange(&on, 0))
		return;
	for (struct buffer *b = atomic_load(&buffers); b != NULL; b = b->next)
		flush(b);
}

void *malloc(size_t n)
{
	if (next_malloc == NULL)
		resolve();
	if (next_malloc == NULL)
		return early_malloc(n);
	void *p = next_malloc(n);
	if (p != NULL)
		note(OP_ALLOC, p, n, 0);
	return p;
}

void *calloc(size_t a, size_t b)
{
	if (next_malloc == NULL)
		resolve();
	if (next_calloc == NULL) { /* dlsym asks before it can answer; this memory is zero */
		size_t n;
		return __builtin_mul_overflow(a, b, &n) ? NULL : early_malloc(n);
	}
	void *p = next_calloc(a, b);
	if (p != NULL)
		note(OP_ALLOC, p, a * b, 0);
	return p;
}

void *realloc(void *old, size_t n)
{
	if (next_realloc == NULL || is_early(old)) {
		void *p = malloc(n);
		if (p != NULL && old != NULL) {
			size_t had = *(size_t *)((char *)old - 16);
			memcpy(p, old, had < n ? had : n);
		}
		return p;
	}
	if (old != NULL)
		note(OP_FREE, old, 0, 0);
	void *p = next_realloc(old, n);
	if (p != NULL)
		note(OP_ALLOC, p, n, 0);
	return p;
}

void free(void *p)
{
	if (p == NULL || is_early(p))
		return;
	note(OP_FREE, p, 0, 0);
	if (next_free != NULL)
		next_free(p);
}

static void *aligned(size_t a, size_t n)
{
	if (next_memalign == NULL)
		resolve();
	void *p = next_memalign(a, n);
	if (p != NULL)
		note(OP_ALLOC, p, n, __builtin_ctzll(a | 1ull << 40));
	return p;
}

void *memalign(size_t a, size_t n) { return aligned(a, n); }
void *aligned_alloc(size_t a, size_t n) { return aligned(a, n); }

int posix_memalign(void **out, size_t a, size_t n)
{
	if (next_posix_memalign == NULL)
		resolve();
	int e = next_posix_memalign(out, a, n);
	if (e == 0)
		note(OP_ALLOC, *out, n, __builtin_ctzll(a | 1ull << 40));
	return e;
}
