// Half the threads only allocate, half only free: memory must flow back, so
// that RSS stays bounded.
// run: 4000000
// long: 40000000
// timeout: 120s
#include <pthread.h>
#include "watchdog.h"
enum { PAIRS = 3, RING = 1024 };
static void *ring[PAIRS][RING];
static long count;
static void *producer(void *arg) {
  void **r = ring[(intptr_t)arg];
  uint64_t seed = (uint64_t)(intptr_t)arg;
  for (long i = 0; i < count / PAIRS; i++) {
    size_t n = 16 + rnd(&seed) % 1000;
    void *p = hide(malloc(n));
    CHECK(p != NULL);
    memset(p, 1, 16);
    while (__atomic_load_n(&r[i % RING], __ATOMIC_ACQUIRE)) sched_yield();
    __atomic_store_n(&r[i % RING], p, __ATOMIC_RELEASE);
  }
  return NULL;
}
static void *consumer(void *arg) {
  void **r = ring[(intptr_t)arg];
  for (long i = 0; i < count / PAIRS; i++) {
    void *p;
    while ((p = __atomic_exchange_n(&r[i % RING], NULL, __ATOMIC_ACQ_REL)) == NULL) sched_yield();
    free(p);
  }
  return NULL;
}
int main(int argc, char **argv) {
  count = arg_long(argc, argv, 1, 4000000);
  watchdog(60 + (unsigned)(count / 400000));
  pthread_t t[2 * PAIRS];
  for (intptr_t i = 0; i < 2 * PAIRS; i++)
    CHECK(pthread_create(&t[i], NULL, i & 1 ? consumer : producer, (void *)(i / 2)) == 0);
  for (int i = 0; i < 2 * PAIRS; i++) pthread_join(t[i], NULL);
  CHECKF(proc_status("VmHWM:") < 96 << 10, "peak RSS %ld KiB", proc_status("VmHWM:"));
  return ok();
}
