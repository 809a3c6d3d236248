/* What the machine makes of a first touch. Prints ns: per 4 KiB page, per hugepage (0: the kernel gave none), per
 * pair of mmap and munmap; then 1 if the hardware's counters can be had. Medians of many. */
#include "common.h"
#include <linux/perf_event.h>
#include <sys/syscall.h>

enum { HUGE = 2 << 20, PAGES = 512, REGIONS = 16 };

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, n, sizeof *v, compare);
	return v[n / 2];
}

/* Touches one hugepage's worth, step by step, in an address range of its own. */
static double touch(int advice, size_t step, int *got_huge)
{
	char *raw = map_pages(2 * HUGE);
	char *p = (char *)(((uintptr_t)raw + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
	madvise(p, HUGE, advice);
	int64_t t = now_ns();
	for (size_t i = 0; i < HUGE; i += step)
		((volatile char *)p)[i] = 1;
	t = now_ns() - t;
	*got_huge = rollup("AnonHugePages:") >= HUGE;
	munmap(raw, 2 * HUGE);
	return t;
}

int main(void)
{
	double small[REGIONS], huge[REGIONS], map[REGIONS];
	int n = 0, is_huge, unused;
	for (int i = 0; i < REGIONS; i++) {
		small[i] = touch(MADV_NOHUGEPAGE, 4096, &unused) / PAGES;
		double h = touch(MADV_HUGEPAGE, HUGE, &is_huge);
		if (is_huge)
			huge[n++] = h;
		int64_t t = now_ns();
		for (int k = 0; k < 256; k++)
			munmap(map_pages(4096), 4096);
		map[i] = (now_ns() - t) / 256.0;
	}
	struct perf_event_attr a = {.size = sizeof a, .type = PERF_TYPE_HARDWARE, .config = PERF_COUNT_HW_CPU_CYCLES, .exclude_kernel = 1};
	int fd = syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
	printf("%.1f %.1f %.1f %d\n", median(small, REGIONS), n > 0 ? median(huge, n) : 0, median(map, REGIONS), fd >= 0);
	return 0;
}
