/* Binds each thread to one CPU: the first to the first CPU that the process may run on, and each that it makes to the
 * next, in turn. So a thread stays in one last-level cache domain, as threads do on machines that have several.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MOST = 1 << 16 }; /* threads bound; those after run where they like */

static int cpu[CPU_SETSIZE], cpus;
static struct start {
	void *(*run)(void *);
	void *arg;
	int cpu;
} starts[MOST];
static atomic_uint made;
static int (*make)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static void bind_to(int c)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(c, &one);
	sched_setaffinity(0, sizeof one, &one);
}

__attribute__((constructor)) static void begin(void)
{
	make = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT, "pthread_create");
	cpu_set_t all;
	if (sched_getaffinity(0, sizeof all, &all) != 0)
		return;
	for (int c = 0; c < CPU_SETSIZE; c++)
		if (CPU_ISSET(c, &all))
			cpu[cpus++] = c;
	bind_to(cpu[0]);
}

static void *bound(void *arg)
{
	struct start *s = arg;
	bind_to(s->cpu);
	return s->run(s->arg);
}

int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	if (!make || !cpus) /* before our constructor */
		begin();
	unsigned i = atomic_fetch_add(&made, 1) + 1;
	if (i >= MOST || !cpus)
		return make(t, attr, run, arg);
	starts[i] = (struct start){run, arg, cpu[i % cpus]};
	return make(t, attr, bound, &starts[i]);
}
