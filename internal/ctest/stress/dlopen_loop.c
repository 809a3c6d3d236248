// A C++ library is opened and closed in a loop, by several threads, while
// others allocate; memory does not pile up.
// needs: plugin.cc
// run: 150
// long: 2000
// timeout: 120s
#include <pthread.h>
#include "watchdog.h"
static char path[PATH_MAX];
static int stop, count;
static void *opener(void *arg) {
  for (int i = 0; i < count; i++) {
    void *h = dlopen(path, i & 1 ? RTLD_NOW : RTLD_LAZY);
    CHECKF(h != NULL, "%s", dlerror());
    int (*huge)(void) = (int (*)(void))dlsym(h, "plugin_huge");
    CHECK(huge != NULL && huge() == 1);
    CHECK(dlclose(h) == 0);
  }
  return arg;
}
static void *allocator(void *arg) {
  uint64_t seed = 5;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) free(hide(malloc(rnd(&seed) % 10000)));
  return arg;
}
int main(int argc, char **argv) {
  count = (int)arg_long(argc, argv, 1, 150);
  watchdog(100 + (unsigned)count / 10);
  snprintf(path, sizeof path, "%s/plugin.so", getenv("CTEST_DIR"));
  pthread_t t[3];
  long before = 0;
  for (int round = 0; round < 3; round++) {
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&t[i], NULL, i < 2 ? opener : allocator, NULL) == 0);
    pthread_join(t[0], NULL), pthread_join(t[1], NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(t[2], NULL);
    if (round == 0) before = proc_status("VmRSS:");
  }
  long after = proc_status("VmRSS:");
  CHECKF(after < before + (16 << 10), "RSS grew from %ld to %ld KiB", before, after);
  return ok();
}
