/* What taking a slab from its CPU rests on: that the kernel aborts restartable sequences. The self-tests of that, and
 * the visits of CPUs that stand in for membarrier (percpu/visit.go). */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vcm.h"

/* Where the thread runs. One thread at a time travels. */

enum { CPUS = 8192 }; /* the largest NR_CPUS of a distribution's kernel */
typedef struct {
	unsigned long bits[CPUS / 64];
} cpus;

static int get_affinity(cpus *to)
{
	memset(to, 0, sizeof *to);
	return syscall(SYS_sched_getaffinity, 0, sizeof *to, to) > 0;
}

static int set_affinity(const cpus *to)
{
	return syscall(SYS_sched_setaffinity, 0, sizeof *to, to) == 0;
}

/* Goes to a CPU and reports whether the thread has been there. The call may return with the thread elsewhere, or not
 * do what it says: the CPU's own word is what counts. *at is where the thread has to stay. */
static int go_to(uintptr_t cpu, cpus *at)
{
	cpus one;
	unsigned here;
	memset(&one, 0, sizeof one);
	if (cpu >= CPUS)
		return 0;
	one.bits[cpu / 64] = 1UL << cpu % 64;
	if (!set_affinity(&one))
		return 0;
	*at = one;
	return syscall(SYS_getcpu, &here, NULL, NULL) == 0 && here == cpu;
}

/* Where the thread may run: was, before it was moved; at, since its last move. */
struct journey {
	cpus was, at;
	int everywhere; /* was is all that the process may have, and grows with it */
};

static int set_out(struct journey *j)
{
	cpus all;
	memset(&all, 0xff, sizeof all);
	if (!get_affinity(&j->was) || !set_affinity(&all) || !get_affinity(&j->at))
		return 0;
	j->everywhere = memcmp(&j->was, &j->at, sizeof j->was) == 0;
	return 1;
}

/* Lets the thread run where it could before, unless somebody else has said meanwhile where it is to run. */
static void come_home(const struct journey *j)
{
	cpus now;
	if (!get_affinity(&now) || memcmp(&now, &j->at, sizeof now) != 0)
		return;
	if (!j->everywhere && set_affinity(&j->was))
		return;
	memset(&now, 0xff, sizeof now); /* also where the CPUs it had are the process's no more */
	set_affinity(&now);
}

static struct journey journey;
static _Atomic int travelling;

/* The self-tests. Kernels, emulators and system call filters have been seen to accept the calls and do nothing, after
 * which two threads would own one object. They take two threads, so they wait for the background thread. */

#define FENCE 128 /* MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, and the registration it needs */
#define FENCE_REGISTER 256
enum {
	ATTEMPTS = 200,
	LOOKS = 1 << 18, /* of a sequence at what the other thread counts: some 10 ms */
	ENOUGH = 20,	 /* aborted sequences, where they are proof */
};

static _Atomic uint32_t fences;
static _Atomic int tested;

/* Runs sequences on the CPU where the thread is, beside another thread, until one was not aborted or so many were. The
 * count of the latter, or -1. */
static int count_aborted(void *(*other)(void *), int enough)
{
	pthread_t thread;
	unsigned cpu = CPUS;
	int aborted = 0, verdict = 2;
	if (atomic_exchange(&travelling, 1))
		return 0;
	int out = set_out(&journey); /* if it may not, the test does what it can where it is */
	if (!out || syscall(SYS_getcpu, &cpu, NULL, NULL) != 0 || !go_to(cpu, &journey.at))
		cpu = CPUS;
	atomic_store(&tested, 0);
	if (pthread_create(&thread, NULL, other, (void *)(uintptr_t)cpu) == 0) {
		for (int i = 0; i < ATTEMPTS && aborted < enough && verdict != 0; i++) {
			verdict = vcm_seq_test(&fences, LOOKS);
			aborted += verdict == 1;
		}
		atomic_store(&tested, 1);
		pthread_join(thread, NULL);
	}
	if (out)
		come_home(&journey);
	atomic_store(&travelling, 0);
	return verdict == 0 ? -1 : aborted;
}

/* The other thread of the first test fences from another CPU, if there is one: on the same it would only ever fence
 * what its coming has aborted already. */
static void *fence(void *cpu)
{
	cpus others = journey.was;
	if ((uintptr_t)cpu < CPUS)
		others.bits[(uintptr_t)cpu / 64] &= ~(1UL << (uintptr_t)cpu % 64);
	set_affinity(&others);
	while (!atomic_load(&tested)) {
		syscall(SYS_membarrier, FENCE, 0, 0);
		atomic_fetch_add(&fences, 1);
	}
	return NULL;
}

/* Whether another thread's fence aborts a sequence; UNTESTED where there are no fences. */
enum verdict vcm_test_fences(void)
{
	if (syscall(SYS_membarrier, FENCE_REGISTER, 0, 0) != 0)
		return UNTESTED;
	/* A preemption aborts as well and proves nothing of fences, so no number of successes is enough; one failure is. */
	int aborted = count_aborted(fence, ATTEMPTS);
	return aborted < 0 ? NOT_ABORTED : aborted > 0 ? ABORTED : UNPROVEN;
}

/* That of the second goes wherever it may run, and then to the CPU where the first has to stay. */
static void *visitor(void *cpu)
{
	static cpus at;
	while (!atomic_load(&tested)) {
		set_affinity(&journey.was);
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000}, NULL);
		if (go_to((uintptr_t)cpu, &at))
			atomic_fetch_add(&fences, 1);
	}
	return NULL;
}

/* Whether a sequence is aborted when another thread has run on its CPU. That is what visits rest on, so they need
 * proof: aborted sequences, and none that saw a visit begin and end. */
enum verdict vcm_test_preemption(void)
{
	int aborted = count_aborted(visitor, ENOUGH);
	return aborted < 0 ? NOT_ABORTED : aborted == ENOUGH ? ABORTED : UNPROVEN;
}

/* Visits. */

static uintptr_t next_visit(uintptr_t cpu, int reached)
{
	vcm_enter();
	cpu = vcm_go_visit(cpu, (uintptr_t)reached);
	vcm_leave();
	return cpu;
}

/* A round of visits. Preconditions: vcm_test_preemption has returned ABORTED. Signals wait, so that no handler runs,
 * or forks, on the single CPU of a visit. */
void vcm_make_visits(void)
{
	sigset_t all, before;
	if (atomic_exchange(&travelling, 1))
		return;
	int saved = errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	uintptr_t cpu = next_visit(VISIT_END, 0);
	if (cpu != VISIT_END) {
		int out = set_out(&journey);
		while (cpu != VISIT_END)
			cpu = next_visit(cpu, out && go_to(cpu, &journey.at));
		if (out)
			come_home(&journey);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = saved;
	atomic_store(&travelling, 0);
}

/* In a fork's child: whoever was on his way is no more. */
void vcm_forget_visits(void) { atomic_store(&travelling, 0); }
