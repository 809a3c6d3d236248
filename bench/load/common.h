/* What the generators share. None of it allocates: tables come from mmap, text goes out by dprintf, so that an
 * allocator is measured by nothing but the calls the generator means to make. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* What a generator prints of the time its throughput is over, in nanoseconds of the monotonic clock: bench may have
 * stopped it now and then meanwhile, to let another subject run, and takes that off. */
#define SPAN "\"from\": %lld, \"to\": %lld"

/* xorshift64*: seeded, so that every subject gets the same work. */
static inline uint64_t next_random(uint64_t *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 2685821657736338717ull;
}

static inline double next_unit(uint64_t *s) { return (next_random(s) >> 11) * 0x1p-53; }

static inline void *map_pages(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		dprintf(2, "out of address space\n");
		_exit(3);
	}
	return p;
}

/* A wrong result ends the run: a fast allocator that loses data is not fast. */
static inline void check(int ok, const char *what)
{
	if (!ok) {
		dprintf(2, "wrong result: %s\n", what);
		_exit(4);
	}
}

static inline long minor_faults(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

/* The value in bytes of one line of /proc/self/smaps_rollup, such as "Anonymous:". */
static inline double rollup(const char *name)
{
	char buf[4096];
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = 0, k;
	while (n < (ssize_t)sizeof buf - 1 && (k = read(fd, buf + n, sizeof buf - 1 - n)) > 0)
		n += k;
	close(fd);
	buf[n] = 0;
	for (char *p = buf; (p = strstr(p, name)) != NULL; p++)
		if (p == buf || p[-1] == '\n')
			return strtod(p + strlen(name), NULL) * 1024;
	return -1;
}

#endif
