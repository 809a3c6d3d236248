/* The floor: malloc and free that do nothing, to learn what the calls through the PLT cost. Every block is the
 * same static one, so only a program that knows (micro's "pair") can run on it. */
#include <stddef.h>

static char block[1 << 20] __attribute__((aligned(4096)));

void *malloc(size_t n)
{
	(void)n;
	return block;
}

void free(void *p)
{
	(void)p;
}
