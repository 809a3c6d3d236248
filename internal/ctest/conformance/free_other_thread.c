// A block may be freed and reallocated by another thread, also after the
// thread that allocated it has ended.
#include <pthread.h>
#include "check.h"
static void *p[NSIZES];
static void *allocate(void *arg) {
  for (int i = 0; i < NSIZES; i++) {
    CHECK((p[i] = hide(malloc(SIZES[i]))) != NULL);
    fill(p[i], SIZES[i], (uint64_t)i);
  }
  return arg;
}
static void *release(void *arg) {
  for (int i = 0; i < NSIZES; i++) {
    CHECK(mismatch(p[i], SIZES[i], (uint64_t)i) == SIZES[i]);
    p[i] = hide(realloc(p[i], SIZES[i] + 1));
    CHECK(p[i] != NULL && mismatch(p[i], SIZES[i], (uint64_t)i) == SIZES[i]);
    free(p[i]);
  }
  return arg;
}
int main(void) {
  for (int round = 0; round < 5; round++) {
    pthread_t t;
    CHECK(pthread_create(&t, NULL, allocate, NULL) == 0);
    pthread_join(t, NULL);
    CHECK(pthread_create(&t, NULL, release, NULL) == 0);
    pthread_join(t, NULL);
  }
  return ok();
}
