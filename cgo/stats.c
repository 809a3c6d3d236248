/* malloc_stats, malloc_info, mallinfo and the report at exit, from the core's counters. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vcm.h"
#include "../include/vcmalloc.h"

/* The text of 87 classes and some hundred vCPUs. Mapped for the moment: nothing here allocates. */
#define TEXT_BYTES (256 << 10)

static uintptr_t numbers(struct vcm_stats_request *r)
{
	if (vcm_enter()) { /* inside malloc already: the counters are in motion */
		vcm_leave();
		return 0;
	}
	uintptr_t n = vcm_go_stats(r);
	vcm_leave();
	return n;
}

/* Calls out with the text of the given kind. */
static int with_text(int kind, void (*out)(const char *, size_t, void *), void *arg)
{
	char *buf = mmap(NULL, TEXT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buf == MAP_FAILED)
		return -1;
	struct vcm_stats_request r = {.kind = kind, .buf = (uintptr_t)buf, .len = TEXT_BYTES};
	out(buf, numbers(&r), arg);
	munmap(buf, TEXT_BYTES);
	return 0;
}

/* Where text goes: standard error, or the copy of it that was made for the report at exit. Programs such as
 * coreutils close theirs before the last destructor runs. */
static int report_fd = 2;

void vcm_keep_stderr(void)
{
	int fd = fcntl(2, F_DUPFD_CLOEXEC, 64);
	if (fd >= 0)
		report_fd = fd;
}

static void to_stderr(const char *text, size_t n, void *unused)
{
	(void)unused;
	while (n > 0) {
		ssize_t k = write(report_fd, text, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return;
		text += k;
		n -= k;
	}
}

static void to_file(const char *text, size_t n, void *file)
{
	fwrite(text, 1, n, file);
}

void vcm_print_stats(void)
{
	int saved = errno;
	with_text(STATS_TEXT, to_stderr, NULL);
	errno = saved;
}

EXPORT void malloc_stats(void)
{
	vcm_print_stats();
}

EXPORT int malloc_info(int options, FILE *file)
{
	if (options != 0)
		return EINVAL;
	return with_text(STATS_XML, to_file, file);
}

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct vcm_stats_request r = {.kind = STATS_NUMBERS};
	numbers(&r);
	struct mallinfo2 m = {
		.arena = r.mapped - r.large,
		.ordblks = r.per_cpu_populated,
		.hblks = r.large_objects,
		.hblkhd = r.large,
		.fsmblks = r.cached_per_cpu,
		.uordblks = r.used,
		.fordblks = r.mapped - r.used,
		.keepcost = r.page_heap_free,
	};
	return m;
}

static int clamp(size_t n)
{
	return n > 0x7fffffff ? 0x7fffffff : (int)n;
}

EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 m = mallinfo2();
	struct mallinfo r = {
		.arena = clamp(m.arena),
		.ordblks = clamp(m.ordblks),
		.hblks = clamp(m.hblks),
		.hblkhd = clamp(m.hblkhd),
		.fsmblks = clamp(m.fsmblks),
		.uordblks = clamp(m.uordblks),
		.fordblks = clamp(m.fordblks),
		.keepcost = clamp(m.keepcost),
	};
	return r;
}

/* The parameters of glibc's malloc have no counterpart; accepting them keeps programs quiet. */
EXPORT int mallopt(int param, int value)
{
	(void)value;
	switch (param) {
	case M_MXFAST:
	case M_TRIM_THRESHOLD:
	case M_TOP_PAD:
	case M_MMAP_THRESHOLD:
	case M_MMAP_MAX:
	case M_CHECK_ACTION:
	case M_PERTURB:
	case M_ARENA_TEST:
	case M_ARENA_MAX:
		return 1;
	default:
		return 0;
	}
}

EXPORT const char *vcmalloc_version(void)
{
	return VCMALLOC_VERSION;
}

EXPORT int vcmalloc_get_stats(struct vcmalloc_stats *out)
{
	struct vcm_stats_request r = {.kind = STATS_NUMBERS};
	numbers(&r);
	*out = (struct vcmalloc_stats){
		.mapped = r.mapped,
		.in_use = r.used,
		.cached = r.cached,
		.slack = r.slack,
		.page_heap_free = r.page_heap_free,
		.released = r.released,
		.metadata = r.meta,
		.side = r.side,
	};
	return r.mapped ? 0 : -1;
}

EXPORT void vcmalloc_background(void)
{
	vcm_background();
}
