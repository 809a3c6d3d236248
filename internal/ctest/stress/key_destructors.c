// Allocation and freeing from pthread key destructors, in every round of them,
// after thread_local destructors and the C library's own.
// norseq:
#include <pthread.h>
#include "check.h"
enum { KEYS = 32 };
static pthread_key_t key[KEYS];
static int rounds_seen;
static void destructor(void *value) {
  size_t *p = (size_t *)value, n = *p;
  CHECKF(n < 100000 && ((unsigned char *)p)[n - 1] == (unsigned char)n, "value of %zu bytes damaged", n);
  int k = ((int *)p)[3];
  int round = ((int *)p)[2];
  free(p);
  __atomic_add_fetch(&rounds_seen, 1, __ATOMIC_RELAXED);
  if (round >= 3) return; // PTHREAD_DESTRUCTOR_ITERATIONS is 4
  n = n * 3 / 2;
  p = (size_t *)hide(malloc(n));
  CHECK(p != NULL);
  memset(p, (int)n, n);
  *p = n;
  ((int *)p)[2] = round + 1, ((int *)p)[3] = k;
  CHECK(pthread_setspecific(key[k], p) == 0);
}
static void *thread(void *arg) {
  for (int k = 0; k < KEYS; k++) {
    size_t n = 64 + (size_t)k * 700;
    size_t *p = (size_t *)hide(malloc(n));
    memset(p, (int)n, n);
    *p = n;
    ((int *)p)[2] = 0, ((int *)p)[3] = k;
    CHECK(pthread_setspecific(key[k], p) == 0);
  }
  return arg;
}
int main(void) {
  for (int k = 0; k < KEYS; k++) CHECK(pthread_key_create(&key[k], destructor) == 0);
  for (int r = 0; r < 200; r++) {
    pthread_t t[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&t[i], NULL, thread, NULL) == 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  }
  CHECKF(rounds_seen == 200 * 4 * KEYS * 4, "%d destructor calls", rounds_seen);
  return ok();
}
