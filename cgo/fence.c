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

/* The self-tests. Kernels, emulators and system call filters have been seen to accept the calls and do nothing, after
 * which two threads would own one object. They take two threads, so they wait for the background thread. */

#define FENCE 128 /* MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, and the registration it needs */
#define FENCE_REGISTER 256
#define TRIES (1 << 18) /* of a sequence to see what the other thread counts: some 10 ms */

static _Atomic uint32_t fences;
static _Atomic int tested;

static void *fence(void *unused)
{
	while (!atomic_load(&tested)) {
		syscall(SYS_membarrier, FENCE, 0, 0);
		atomic_fetch_add(&fences, 1);
	}
	return unused;
}

/* Whether another thread's fence aborts a sequence; UNTESTED where there are no fences. */
enum verdict vcm_test_fences(void)
{
	pthread_t thread;
	int verdict = 1;
	atomic_store(&tested, 0);
	if (syscall(SYS_membarrier, FENCE_REGISTER, 0, 0) != 0)
		return UNTESTED;
	if (pthread_create(&thread, NULL, fence, NULL) != 0)
		return UNPROVEN;
	/* A preemption aborts as well and proves nothing of fences, so one success is not enough; one failure is. */
	for (int i = 0; i < 200 && verdict != 0; i++)
		verdict = vcm_seq_test(&fences, TRIES);
	atomic_store(&tested, 1);
	pthread_join(thread, NULL);
	return verdict != 0 ? ABORTED : NOT_ABORTED;
}

/* Visits. One thread at a time makes them. */

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

/* The test's other thread goes wherever it may run, and then to the CPU where the first one has to stay. */
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
	enum { ENOUGH = 20 };
	pthread_t thread;
	unsigned cpu;
	int aborted = 0, verdict = 2;
	if (atomic_exchange(&travelling, 1))
		return UNPROVEN;
	atomic_store(&tested, 0);
	if (set_out(&journey)) {
		if (syscall(SYS_getcpu, &cpu, NULL, NULL) == 0 && go_to(cpu, &journey.at) &&
		    pthread_create(&thread, NULL, visitor, (void *)(uintptr_t)cpu) == 0) {
			for (int i = 0; i < 200 && aborted < ENOUGH && verdict != 0; i++) {
				verdict = vcm_seq_test(&fences, TRIES);
				aborted += verdict == 1;
			}
			atomic_store(&tested, 1);
			pthread_join(thread, NULL);
		}
		come_home(&journey);
	}
	atomic_store(&travelling, 0);
	return verdict == 0 ? NOT_ABORTED : aborted == ENOUGH ? ABORTED : UNPROVEN;
}

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
