/* For the self-check: glibc's malloc with a fifth more for every block, and the fifth touched. */
#include <stddef.h>
#include <string.h>

extern void *__libc_malloc(size_t);

void *malloc(size_t n)
{
	char *p = __libc_malloc(n + n / 5);
	if (p != NULL)
		memset(p + n, 1, n / 5);
	return p;
}
