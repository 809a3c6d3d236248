/* A puppet: allocates and times as it is told on standard input, so that whoever reads the allocator's counters can
 * steer it into each of its tiers. Answers each line with one line.
 *
 *	a SIZE N          allocate N objects (one byte written) onto a stack               -> ok
 *	f N               free the N topmost                                               -> ok
 *	h N               free every second of the N topmost                               -> ok
 *	t SIZE N          the same as a, each malloc timed                                 -> ns, one per malloc
 *	w SIZE N          the same, with every byte written within the time                -> ns, one per malloc
 *	p SIZE N          N pairs of malloc and free, each malloc timed                    -> ns, one per malloc
 *	g SIZE K N        N groups: K mallocs timed together, then K frees                 -> ns per malloc, one per group
 *	s                 wait until the statistics are due, do the background work        -> ok
 *
 * Times come from the time stamp counter between fences, less what an empty measurement shows. */
#include "common.h"
#include <dlfcn.h>
#include <x86intrin.h>

enum { MOST = 1 << 20 };
static void **stack;
static double *times;
static size_t top;
static double ns_per_tick, empty;

static inline uint64_t ticks(void)
{
	_mm_lfence();
	uint64_t t = __rdtsc();
	_mm_lfence();
	return t;
}

static void calibrate(void)
{
	int64_t n0 = now_ns();
	uint64_t t0 = ticks();
	usleep(20000);
	int64_t n1 = now_ns();
	uint64_t t1 = ticks();
	ns_per_tick = (double)(n1 - n0) / (t1 - t0);
	uint64_t least = ~0ull;
	for (int i = 0; i < 10000; i++) {
		uint64_t a = ticks(), b = ticks();
		if (b - a < least)
			least = b - a;
	}
	empty = least * ns_per_tick;
}

static inline double since(uint64_t t)
{
	double ns = (ticks() - t) * ns_per_tick - empty;
	return ns > 0 ? ns : 0;
}

static void *one(size_t size)
{
	void *p = malloc(size);
	check(p != NULL, "malloc failed");
	return p;
}

static void answer(size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%.1f ", times[i]);
	printf("\n");
	fflush(stdout);
}

static void wait_for_statistics(void)
{
	void (*background)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "vcmalloc_background");
	if (background == NULL)
		return;
	usleep(1050000); /* they are renewed once a second */
	background();
}

int main(void)
{
	/* The library's own buffers would come from malloc in the middle of a measurement. */
	static char in[1 << 16], out[1 << 16];
	setvbuf(stdin, in, _IOFBF, sizeof in);
	setvbuf(stdout, out, _IOFBF, sizeof out);
	stack = map_pages(MOST * sizeof *stack);
	times = map_pages(MOST * sizeof *times);
	memset(times, 1, MOST * sizeof *times);
	calibrate();
	char line[128], command;
	size_t size, n, k;
	while (fgets(line, sizeof line, stdin) != NULL) {
		size = n = k = 0;
		if (sscanf(line, "g %zu %zu %zu", &size, &k, &n) == 3) {
			check(n <= MOST && top + k <= MOST, "too many");
			for (size_t i = 0; i < n; i++) {
				uint64_t t = ticks();
				for (size_t j = 0; j < k; j++)
					stack[top + j] = malloc(size);
				times[i] = since(t) / k;
				for (size_t j = 0; j < k; j++)
					free(stack[top + j]);
			}
			answer(n);
			continue;
		}
		if (sscanf(line, "f %zu", &n) == 1) {
			check(n <= top, "more than there are");
			while (n-- > 0)
				free(stack[--top]);
		} else if (sscanf(line, "h %zu", &n) == 1) {
			check(n <= top, "more than there are");
			size_t kept = top - n;
			for (size_t i = 0; i < n; i++)
				if (i % 2)
					free(stack[top - n + i]);
				else
					stack[kept++] = stack[top - n + i];
			top = kept;
		} else if (sscanf(line, "%c %zu %zu", &command, &size, &n) == 3) {
			check(n <= MOST && top + n <= MOST, "too many");
			for (size_t i = 0; i < n; i++) {
				uint64_t t = ticks();
				void *p = one(size);
				if (command == 'w')
					memset(p, 1, size);
				times[i] = since(t);
				*(volatile char *)p = 1;
				if (command == 'p')
					free(p);
				else
					stack[top++] = p;
			}
			if (command != 'a') {
				answer(n);
				continue;
			}
		} else {
			check(line[0] == 's', "unknown command");
			wait_for_statistics();
		}
		printf("ok\n");
		fflush(stdout);
	}
	return 0;
}
