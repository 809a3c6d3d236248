/* Fills memory with blocks of one size, every byte written, checks them, and tells how much the process grew.
 *
 *	fill SIZE MIB
 *
 * Prints one JSON object: "grown", the growth of anonymous resident memory per byte asked for; seconds of filling. */
#include "common.h"

int main(int argc, char **argv)
{
	if (argc != 3) {
		dprintf(2, "usage: fill SIZE MIB\n");
		return 2;
	}
	size_t size = strtoull(argv[1], NULL, 0), n = (strtoull(argv[2], NULL, 0) << 20) / size;
	char **block = map_pages(n * sizeof *block);
	memset(block, 0, n * sizeof *block); /* its own pages are there before the first look */
	double before = rollup("Anonymous:");
	int64_t t = now_ns();
	for (size_t i = 0; i < n; i++) {
		block[i] = malloc(size);
		memset(block[i], (int)(i & 0x7f), size);
	}
	t = now_ns() - t;
	double after = rollup("Anonymous:");
	for (size_t i = 0; i < n; i++) {
		check(block[i][0] == (char)(i & 0x7f) && block[i][size - 1] == (char)(i & 0x7f), "a block's contents changed");
		free(block[i]);
	}
	dprintf(1, "{\"grown\": %.6f, \"seconds\": %.6f}\n", (after - before) / ((double)n * size), t / 1e9);
	return 0;
}
