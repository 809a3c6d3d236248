/* Runs one command and tells what the system accounts to it.
 *
 *	launch FD [NAME=VALUE...] -- COMMAND [ARG...]
 *
 * Go starts processes by vfork, and the peak resident size that the kernel keeps for a process includes that of
 * the address space it had before exec: every child of a Go program seems as large as the Go program. This
 * launcher is static and small and forks properly. It also opens the hardware's counters, where there are any.
 *
 * Writes to FD: "pid N", and at the end "done" with status, wall ns, user us, system us, peak KiB, minor and major
 * faults, voluntary and involuntary switches, and one field per counter (- where it can't be had). */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CACHE(level, op, result) ((level) | (op) << 8 | (result) << 16)

/* The order is that of proc.Counters. */
static const struct {
	uint32_t type;
	uint64_t config;
} events[] = {
	{PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
	{PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
	{PERF_TYPE_HW_CACHE, CACHE(PERF_COUNT_HW_CACHE_LL, PERF_COUNT_HW_CACHE_OP_READ, PERF_COUNT_HW_CACHE_RESULT_ACCESS)},
	{PERF_TYPE_HW_CACHE, CACHE(PERF_COUNT_HW_CACHE_LL, PERF_COUNT_HW_CACHE_OP_READ, PERF_COUNT_HW_CACHE_RESULT_MISS)},
	{PERF_TYPE_HW_CACHE, CACHE(PERF_COUNT_HW_CACHE_DTLB, PERF_COUNT_HW_CACHE_OP_READ, PERF_COUNT_HW_CACHE_RESULT_MISS)},
};
enum { NEVENTS = sizeof events / sizeof events[0] };
static int counter[NEVENTS];
static pid_t child;

static void pass_on(int sig)
{
	if (child > 0)
		kill(child, sig);
}

static void open_counters(void)
{
	for (int i = 0; i < NEVENTS; i++) {
		struct perf_event_attr a = {
			.size = sizeof a,
			.type = events[i].type,
			.config = events[i].config,
			.disabled = 1,
			.inherit = 1,
			.enable_on_exec = 1,
			.exclude_hv = 1,
			.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
		};
		counter[i] = syscall(SYS_perf_event_open, &a, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	}
}

static void print_counters(int fd)
{
	for (int i = 0; i < NEVENTS; i++) {
		uint64_t v[3];
		if (counter[i] >= 0 && read(counter[i], v, sizeof v) == sizeof v && v[2] > 0)
			dprintf(fd, " %.0f", (double)v[0] * v[1] / v[2]);
		else
			dprintf(fd, " -");
	}
	dprintf(fd, "\n");
}

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static long long us(struct timeval t)
{
	return t.tv_sec * 1000000ll + t.tv_usec;
}

int main(int argc, char **argv)
{
	int i = 2;
	while (i < argc && strcmp(argv[i], "--") != 0)
		i++;
	if (i + 1 >= argc) {
		fprintf(stderr, "usage: launch FD [NAME=VALUE...] -- COMMAND [ARG...]\n");
		return 2;
	}
	int fd = atoi(argv[1]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, pass_on);
	signal(SIGINT, pass_on);
	open_counters();
	int64_t start = now();
	child = fork();
	if (child < 0) {
		perror("launch: fork");
		return 1;
	}
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int k = 2; k < i; k++)
			putenv(argv[k]);
		close(fd);
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		execvp(argv[i + 1], argv + i + 1);
		perror(argv[i + 1]);
		_exit(127);
	}
	dprintf(fd, "pid %d\n", child);
	int status;
	struct rusage u;
	while (wait4(child, &status, 0, &u) < 0)
		if (errno != EINTR)
			return 1;
	int64_t wall = now() - start;
	int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	dprintf(fd, "done %d %lld %lld %lld %ld %ld %ld %ld %ld", code, (long long)wall, us(u.ru_utime), us(u.ru_stime),
		u.ru_maxrss, u.ru_minflt, u.ru_majflt, u.ru_nvcsw, u.ru_nivcsw);
	print_counters(fd);
	return code;
}
