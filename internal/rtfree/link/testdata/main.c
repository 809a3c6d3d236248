/* Calls clean.Entry twice, then, with an argument, once more so that a bounds check fails. */
#include <stdint.h>

extern uintptr_t entry(uintptr_t);

int main(int argc, char **argv)
{
	(void)argv;
	uintptr_t a = entry(24), b = entry(24);
	if (!a || b != a + 24)
		return 1;
	*(volatile uintptr_t *)a = b;
	if (argc > 1)
		entry(1000000);
	return 0;
}
