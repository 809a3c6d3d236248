// Two threads on CPUs of two NUMA nodes that VCMALLOC_TOPOLOGY makes up: each is served from its own node's page
// heap, what one frees of the other's goes home, a child of a fork does both. The Go test reads the statistics.
// norun:
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include "watchdog.h"
enum { SMALL = 4000, LARGE = 16 };
static const size_t small_size = 3000, large_size = 600 << 10; /* 12 and 9.4 MiB */
struct side {
  int cpu;
  char *small[SMALL], *large[LARGE];
} side[2];
static void on(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}
static void *take(void *arg) {
  struct side *s = arg;
  on(s->cpu);
  for (int i = 0; i < SMALL; i++) {
    CHECK((s->small[i] = hide(malloc(small_size))) != NULL);
    memset(s->small[i], s->cpu + i, small_size);
  }
  for (int i = 0; i < LARGE; i++) {
    CHECK((s->large[i] = hide(malloc(large_size))) != NULL);
    memset(s->large[i], s->cpu + i, large_size);
  }
  return NULL;
}
/* check looks at the contents, drop frees every second object. */
static void check(struct side *s, int step) {
  for (int i = 0; i < SMALL; i += step)
    for (size_t k = 0; k < small_size; k += 111) CHECK(s->small[i][k] == (char)(s->cpu + i));
  for (int i = 0; i < LARGE; i += step)
    for (size_t k = 0; k < large_size; k += 11111) CHECK(s->large[i][k] == (char)(s->cpu + i));
}
static void *drop_others(void *arg) {
  struct side *s = arg, *other = &side[s == &side[0]];
  on(s->cpu);
  for (int i = 1; i < SMALL; i += 2) free(other->small[i]);
  for (int i = 1; i < LARGE; i += 2) free(other->large[i]);
  return NULL;
}
static void both(void *(*f)(void *)) {
  pthread_t t[2];
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&t[i], NULL, f, &side[i]) == 0);
  for (int i = 0; i < 2; i++) CHECK(pthread_join(t[i], NULL) == 0);
}
/* shared counts objects of the second side that lie in a hugepage with one of the first. */
static int shared(char **a, char **b, int n) {
  int found = 0;
  for (int i = 0; i < n; i++)
    for (int k = 0; k < n; k++)
      if ((uintptr_t)a[k] >> 21 == (uintptr_t)b[i] >> 21) {
        found++;
        break;
      }
  return found;
}
int main(int argc, char **argv) {
  watchdog(50);
  for (int i = 0; i < 2; i++) {
    side[i].cpu = (int)arg_long(argc, argv, 1 + i, i);
    on(side[i].cpu);
    free(hide(malloc(1 << 20))); /* opens the node */
  }
  both(take);
  CHECKF(shared(side[0].large, side[1].large, LARGE) == 0, "%d large objects share a hugepage with the other node's",
         shared(side[0].large, side[1].large, LARGE));
  /* A vCPU's cache may change hands between the threads with what it holds: some batches. */
  CHECKF(shared(side[0].small, side[1].small, SMALL) < SMALL / 4, "%d small objects share a hugepage with the other node's",
         shared(side[0].small, side[1].small, SMALL));
  both(drop_others);
  check(&side[0], 2), check(&side[1], 2);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    check(&side[0], 2), check(&side[1], 2);
    for (int i = 0; i < SMALL; i += 2) free(side[0].small[i]), free(side[1].small[i]);
    both(take);
    both(drop_others);
    check(&side[0], 2), check(&side[1], 2);
    malloc_trim(0);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  malloc_trim(0);
  check(&side[0], 2), check(&side[1], 2);
  return ok();
}
