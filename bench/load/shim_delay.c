/* For the self-check: glibc's malloc, DELAY_NS nanoseconds later. Compiled with 0 it is the baseline, so that the
 * two differ by the delay alone and not by the shim's own call.
 *
 * The delay is a chain of dependent multiplications between two fences, so that the processor can't hide it behind
 * the work around it. How many steps give DELAY_NS more than none is measured when the library is loaded. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifndef DELAY_NS
#error "compile with -DDELAY_NS=20"
#endif

extern void *__libc_malloc(size_t);

/* Both shims have this many steps: what else happens meanwhile hides behind them in both. */
enum { BASE = 32 };

static int steps = BASE;

/* n multiplications, entered by a jump into a row of them: a loop's exit is mispredicted in one place and not in
 * another, which would make the delay depend on the caller. */
static __attribute__((noinline)) void chain(int n)
{
	uint64_t x = 3, at;
	__asm__ volatile("lfence\n\t"
			 "lea 1f(%%rip), %1\n\t"
			 "sub %2, %1\n\t"
			 "jmp *%1\n\t"
			 ".rept 256\n\t"
			 "imul %%rax, %%rax\n\t" /* 4 bytes each */
			 ".endr\n"
			 "1:\n\t"
			 "lfence"
			 : "+a"(x), "=&r"(at)
			 : "r"((uint64_t)n * 4)
			 : "memory", "cc");
}

/* The median of some tries, not the least: the benchmark's figure is a mean over good and bad moments too. */
static __attribute__((noinline)) double cost(int n)
{
	enum { CALLS = 1000, TRIES = 9 };
	double sorted[TRIES];
	for (int t = 0; t < TRIES; t++) {
		struct timespec a, b;
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (int i = 0; i < CALLS; i++)
			chain(n);
		clock_gettime(CLOCK_MONOTONIC, &b);
		double ns = ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / CALLS;
		int k = t;
		for (; k > 0 && sorted[k - 1] > ns; k--)
			sorted[k] = sorted[k - 1];
		sorted[k] = ns;
	}
	return sorted[TRIES / 2];
}

__attribute__((constructor)) static void calibrate(void)
{
	if (DELAY_NS == 0)
		return;
	double base = cost(BASE), before = 0;
	for (int n = 1; BASE + n <= 256; n++) {
		double c = cost(BASE + n) - base;
		if (c >= DELAY_NS) {
			steps = BASE + (c - DELAY_NS < DELAY_NS - before ? n : n - 1);
			return;
		}
		before = c;
	}
}

void *malloc(size_t n)
{
	chain(steps);
	return __libc_malloc(n);
}
