/* Start-up, threads, fork, the background thread: what the library is to the process it lives in. Nothing
 * here allocates, except pthread_create and pthread_atfork, which find a working malloc. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "vcm.h"

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif
#define RSEQ_BYTES 32 /* the size every kernel with rseq accepts; glibc registers the same */

/* glibc >= 2.35 registers each thread's struct rseq in its TCB. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));
/* Where the process's arguments, environment and auxiliary vector begin: set before any other code runs,
 * environ is not. */
extern void *__libc_stack_end __attribute__((weak));
extern char **environ __attribute__((weak));

extern HIDDEN __thread uint32_t vcm_rseq[8] __attribute__((tls_model("initial-exec")));

enum { UNBORN, BOOTING, READY, DEAD };
static _Atomic int state;
static int own_rseq; /* threads register themselves, when they first come here */

__thread struct thread vcm_self __attribute__((tls_model("initial-exec")));

/* The slab of a thread where locks guard them. Threads take turns at as many slabs as there are CPUs for the
 * process: unlike the CPU's number, which the kernel may have to be asked for, that costs nothing, and a thread
 * finds its own objects again. */
static uint32_t cpus;

static uintptr_t turn(void)
{
	static _Atomic uint32_t turns;
	if (!vcm_self.turn)
		vcm_self.turn = 1 + atomic_fetch_add_explicit(&turns, 1, memory_order_relaxed) % cpus;
	return vcm_self.turn - 1;
}

static long thread_offset(void *p)
{
	return (char *)p - (char *)__builtin_thread_pointer();
}

static int register_own(void)
{
	return syscall(SYS_rseq, vcm_rseq, RSEQ_BYTES, 0, RSEQ_SIG) == 0;
}

/* Finds the thread's rseq area: glibc's, or our own. */
static void find_rseq(struct vcm_params *p)
{
	unsigned long features = getauxval(AT_RSEQ_FEATURE_SIZE);
	if (&__rseq_size && __rseq_size > 0) {
		p->rseq = __rseq_offset;
		p->has_rseq = 1;
	} else if (register_own()) {
		own_rseq = 1;
		vcm_self.registered = 1;
		p->rseq = thread_offset(vcm_rseq);
		p->has_rseq = 1;
	}
	if (!p->has_rseq)
		return;
	/* The kernel keeps cpu_id in step; if it does not, nothing else can be trusted. */
	unsigned cpu = 0;
	volatile int32_t *id = (int32_t *)((char *)__builtin_thread_pointer() + p->rseq + RSEQ_CPU_ID);
	int agree = 0;
	for (int i = 0; i < 4 && !agree; i++) {
		int before = *id;
		agree = syscall(SYS_getcpu, &cpu, NULL, NULL) == 0 && before >= 0 && before == (int)cpu && *id == before;
	}
	p->has_rseq = agree;
	p->has_mm_cid = features >= RSEQ_MM_CID + 4;
}

static char **environment(void)
{
	if (&environ && environ)
		return environ;
	if (!&__libc_stack_end || !__libc_stack_end)
		return NULL;
	uintptr_t *argc = __libc_stack_end;
	return (char **)(argc + 1 + *argc + 1);
}

static void boot(void)
{
	int saved = errno;
	struct vcm_params p = {
		.fast = (uintptr_t)&vcm_fast,
		.table = (uintptr_t)vcm_slabs,
		.empty = (uintptr_t)vcm_empty,
		.seq_vcpu = (uintptr_t)vcm_seq_vcpu,
		.seq_pop = (uintptr_t)vcm_seq_pop,
		.seq_push = (uintptr_t)vcm_seq_push,
		.seq_popn = (uintptr_t)vcm_seq_popn,
		.seq_end = (uintptr_t)vcm_seq_end,
		.seq_swap = (uintptr_t)vcm_seq_swap,
		.slot_mm_cid = RSEQ_MM_CID,
		.slot_cpu_id = RSEQ_CPU_ID,
		.unregistered = thread_offset(vcm_rseq),
		.replaced = vcm_operators_replaced(),
		.cpu = (uintptr_t)sched_getcpu,
		.turn = (uintptr_t)turn,
		.envp = (uintptr_t)environment(),
		.secure = getauxval(AT_SECURE),
	};
	uint64_t *random = (uint64_t *)getauxval(AT_RANDOM);
	p.seed = random ? random[0] ^ random[1] : (uintptr_t)&p;
	find_rseq(&p);
	int ok = vcm_go_boot(&p) != 0;
	cpu_set_t allowed;
	cpus = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : CPU_SETSIZE;
	if (cpus > p.slabs)
		cpus = p.slabs;
	errno = saved;
	atomic_store_explicit(&state, ok ? READY : DEAD, memory_order_release);
}

static void await_boot(void)
{
	int none = UNBORN;
	if (atomic_compare_exchange_strong(&state, &none, BOOTING)) {
		boot();
		return;
	}
	while (atomic_load_explicit(&state, memory_order_acquire) == BOOTING)
		sched_yield();
}

uintptr_t vcm_enter(void)
{
	if (unlikely(atomic_load_explicit(&state, memory_order_acquire) != READY))
		await_boot();
	if (unlikely(own_rseq && !vcm_self.registered)) {
		int saved = errno;
		vcm_self.registered = 1;
		register_own();
		errno = saved;
	}
	return vcm_self.depth++ > 0 ? FLAG_NESTED : 0;
}

/* A process whose heap could not be made has no memory to give; every allocation fails. */
void *vcm_no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static void start_thread(void);
static int may_start_thread; /* not while the dynamic loader is still at work */

void vcm_leave(void)
{
	vcm_self.depth--;
}

void vcm_leave_allocation(void)
{
	vcm_self.depth--;
	if (unlikely(vcm_fast.wanted & WANT_THREAD) && vcm_self.depth == 0 && may_start_thread)
		start_thread();
}

/* The background thread. It starts once the heap is large, and in a fork's child once that needs it. It is
 * started from allocations only, never from free: pthread's own clean-up frees with its locks held, and
 * pthread_create would wait for them. */

static _Atomic int thread_started;

/* Whether a switch of threads aborts sequences, as visits need it. */
static _Atomic enum verdict preemption;

/* The self-test has failed: first no thread finds its slab any more; those in a sequence leave it; then locks guard. */
static void use_locks(void)
{
	static const char line[] = "vcmalloc: restartable sequences are not aborted as they must be here (an emulator, a "
				   "system call filter?): per-CPU caches are guarded by locks\n";
	write(2, line, sizeof line - 1);
	vcm_fast.rseq = thread_offset(vcm_rseq);
	nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	vcm_enter();
	vcm_go_use_locks();
	vcm_leave();
}

/* The background work of a second, visits included once they are known to do what they should. It reports whether
 * they would have to be tested. */
int vcm_background(void)
{
	uintptr_t visits = 0;
	if (!vcm_enter())
		visits = vcm_go_background();
	vcm_leave();
	if (visits && preemption == ABORTED)
		vcm_make_visits();
	return visits && preemption == UNTESTED;
}

static void test_preemption(void)
{
	preemption = vcm_test_preemption();
	if (preemption == NOT_ABORTED)
		use_locks();
}

static void *background(void *unused)
{
	pthread_setname_np(pthread_self(), "vcmalloc");
	struct timespec second = {.tv_sec = 1};
	switch (vcm_test_fences()) {
	case UNTESTED: /* no membarrier */
		test_preemption();
		break;
	case NOT_ABORTED:
		use_locks();
		break;
	case UNPROVEN:
	case ABORTED:
		break;
	}
	for (;;) {
		nanosleep(&second, NULL);
		if (vcm_background())
			test_preemption(); /* membarrier was refused since: a system call filter */
	}
	return unused;
}

static void start_thread(void)
{
	vcm_fast.wanted &= ~WANT_THREAD;
	int none = 0;
	if (!atomic_compare_exchange_strong(&thread_started, &none, 1))
		return;
	int saved = errno;
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_attr_init(&attr) == 0) {
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&attr, 64 << 10);
		pthread_create(&thread, &attr, background, NULL);
		pthread_attr_destroy(&attr);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = saved;
}

/* Fork. From the first handler to the last other threads are served from the side region (internal/heap). A
 * thread that forks from a signal handler, in the middle of an allocation of its own, is not waited for. */

static void before_fork(void)
{
	if (atomic_load(&state) == READY)
		vcm_go_fork_begin(vcm_self.depth > 0);
}

static void after_fork_parent(void)
{
	if (atomic_load(&state) == READY)
		vcm_go_fork_parent();
}

static void after_fork_child(void)
{
	if (atomic_load(&state) == READY)
		vcm_go_fork_child(vcm_self.depth > 0);
	atomic_store(&thread_started, 0);
	vcm_forget_visits();
}

__attribute__((constructor(101))) static void start(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
	may_start_thread = 1;
	if (getenv("VCMALLOC_STATS")) { /* then the report is due even if nothing is ever allocated */
		vcm_enter();
		vcm_leave();
	}
	if (vcm_fast.flags & STATS_AT_EXIT)
		vcm_keep_stderr();
}

__attribute__((destructor)) static void finish(void)
{
	if (vcm_fast.flags & STATS_AT_EXIT)
		vcm_print_stats();
	if (atomic_load(&state) == READY) {
		vcm_enter();
		vcm_go_exit();
		vcm_leave();
	}
}
