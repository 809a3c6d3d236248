/* Marked mallocs and frees for bench/steps, which counts the instructions between the marks (int3) one by one.
 *
 *	steps SIZE LIVE ROUNDS
 *
 * Each round allocates LIVE objects and frees them. Every mark before a malloc has the address of this thread's rseq
 * area in rax, 0 if glibc has registered none. */
#include "common.h"
#include <stddef.h>

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	size_t size = strtoull(argv[1], NULL, 0), live = strtoull(argv[2], NULL, 0), rounds = strtoull(argv[3], NULL, 0);
	void **p = map_pages(live * sizeof *p);
	for (int i = 0; i < 100; i++) { /* unmarked: caches fill */
		for (size_t k = 0; k < live; k++) {
			p[k] = malloc(size);
			*(volatile char *)p[k] = 1;
		}
		for (size_t k = 0; k < live; k++)
			free(p[k]);
	}
	uint64_t area = &__rseq_size != NULL && __rseq_size > 0 ? (uint64_t)__builtin_thread_pointer() + __rseq_offset : 0;
	for (size_t i = 0; i < rounds; i++) {
		for (size_t k = 0; k < live; k++) {
			__asm__ volatile("int3" ::"a"(area) : "memory");
			p[k] = malloc(size);
			__asm__ volatile("int3" ::: "memory");
			*(volatile char *)p[k] = 1;
		}
		for (size_t k = 0; k < live; k++) {
			__asm__ volatile("int3" ::: "memory");
			free(p[k]);
			__asm__ volatile("int3" ::: "memory");
		}
	}
	return 0;
}
