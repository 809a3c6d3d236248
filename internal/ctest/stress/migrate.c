// Threads are moved between CPUs while they allocate: per-CPU state must not
// hand a block out twice.
// run: 3
// long: 30
// timeout: 90s
// norseq: 2
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include "watchdog.h"
enum { THREADS = 6, HELD = 300 };
static int stop;
static pid_t tid[THREADS];
static void *worker(void *arg) {
  uint64_t me = (uint64_t)(uintptr_t)arg, seed = me;
  __atomic_store_n(&tid[me - 1], (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
  static __thread uint64_t *p[HELD];
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
    for (int k = 0; k < 100; k++) {
      size_t i = rnd(&seed) % HELD;
      if (p[i]) {
        CHECKF(p[i][0] == (me ^ i) && p[i][1] == me, "block %p of thread %zu was handed out twice", (void *)p[i], (size_t)me);
        free(p[i]);
      }
      p[i] = (uint64_t *)hide(malloc(16 + rnd(&seed) % 4 * 16));
      CHECK(p[i] != NULL);
      p[i][0] = me ^ i, p[i][1] = me;
    }
  for (int i = 0; i < HELD; i++) free(p[i]);
  return NULL;
}
int main(int argc, char **argv) {
  int seconds = (int)arg_long(argc, argv, 1, 3);
  watchdog((unsigned)seconds + 50);
  cpu_set_t all;
  CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
  pthread_t t[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], NULL, worker, (void *)(uintptr_t)(i + 1)) == 0);
  uint64_t seed = 99;
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  now = start;
  for (int k = 0; now.tv_sec - start.tv_sec < seconds; k++) {
    pid_t who = __atomic_load_n(&tid[rnd(&seed) % THREADS], __ATOMIC_ACQUIRE);
    int cpu = (int)(rnd(&seed) % CPU_SETSIZE);
    for (int tries = 0; tries < CPU_SETSIZE && !CPU_ISSET(cpu, &all); tries++) cpu = (cpu + 1) % CPU_SETSIZE;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (who) sched_setaffinity(who, sizeof one, k % 7 ? &one : &all);
    usleep(200);
    clock_gettime(CLOCK_MONOTONIC, &now);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  return ok();
}
