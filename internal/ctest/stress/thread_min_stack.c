// Threads with the smallest stack there is use every function at every size.
// norseq:
#include <pthread.h>
#include "check.h"
static void *thread(void *arg) {
  for (int i = 0; i < NSIZES; i++) {
    char *p = (char *)malloc(SIZES[i]);
    if (p == NULL) return (void *)1;
    p = (char *)realloc(p, SIZES[i] * 2 + 1);
    if (p == NULL) return (void *)2;
    p[SIZES[i]] = 1;
    free(p);
    p = (char *)calloc(1, SIZES[i]);
    if (p == NULL) return (void *)3;
    free(p);
    p = (char *)memalign(4096, SIZES[i]);
    if (p == NULL || !aligned(p, 4096)) return (void *)4;
    free(p);
    void *q;
    if (posix_memalign(&q, 1 << 20, SIZES[i])) return (void *)5;
    free(q);
  }
  malloc_trim(0);
  if (mallinfo2().uordblks == 0) return (void *)6;
  return arg;
}
int main(void) {
  long least = sysconf(_SC_THREAD_STACK_MIN);
  if (least < 16384) least = 16384;
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  CHECKF(pthread_attr_setstacksize(&attr, (size_t)least) == 0, "stack of %ld bytes", least);
  for (int r = 0; r < 10; r++) {
    pthread_t t[8];
    for (int i = 0; i < 8; i++) {
      int err = pthread_create(&t[i], &attr, thread, NULL);
      CHECKF(err == 0, "pthread_create with %ld bytes: %d (static TLS too big?)", least, err);
    }
    for (int i = 0; i < 8; i++) {
      void *result;
      pthread_join(t[i], &result);
      CHECKF(result == NULL, "step %zu failed", (size_t)(uintptr_t)result);
    }
  }
  return ok();
}
