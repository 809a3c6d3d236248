// 64 threads are created and ended 1,000 times; each allocates, and frees what
// threads before it left in a shared table.
// run: 64 1000
// long: 64 5000
// timeout: 120s
// norseq: 32 100
#include <pthread.h>
#include "check.h"
enum { SLOTS = 4096 };
static void *slot[SLOTS];
static void *thread(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg;
  for (int i = 0; i < 20; i++) {
    size_t n = rnd(&seed) % ((size_t)1 << (rnd(&seed) % 15)) + sizeof(size_t);
    size_t *p = (size_t *)hide(malloc(n));
    CHECK(p != NULL);
    memset(p, (int)n, n);
    *p = n;
    p = (size_t *)__atomic_exchange_n(&slot[rnd(&seed) % SLOTS], p, __ATOMIC_ACQ_REL);
    if (p) {
      n = *p;
      CHECKF(n == sizeof n || ((unsigned char *)p)[n - 1] == (unsigned char)n, "block of %zu bytes damaged", n);
      free(p);
    }
  }
  return NULL;
}
int main(int argc, char **argv) {
  int threads = (int)arg_long(argc, argv, 1, 64), rounds = (int)arg_long(argc, argv, 2, 1000);
  static pthread_t t[1024];
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 64 << 10);
  CHECK(threads <= 1024);
  long early = 0;
  for (int r = 0; r < rounds; r++) {
    for (int i = 0; i < threads; i++) {
      int err = pthread_create(&t[i], &attr, thread, (void *)(uintptr_t)(r * threads + i + 1));
      CHECKF(err == 0, "pthread_create: %d", err);
    }
    for (int i = 0; i < threads; i++) pthread_join(t[i], NULL);
    if (r == rounds / 10) early = proc_status("VmRSS:");
  }
  long late = proc_status("VmRSS:");
  CHECKF(late < early + (64 << 10), "RSS grew from %ld to %ld KiB as threads came and went", early, late);
  for (int i = 0; i < SLOTS; i++) free(slot[i]);
  return ok();
}
