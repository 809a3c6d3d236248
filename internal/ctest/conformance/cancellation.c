// No allocation function is a cancellation point: a cancelled thread goes
// through all of them and ends at pthread_testcancel.
#include <pthread.h>
#include "check.h"
static int through;
static void *thread(void *arg) {
  pthread_cancel(pthread_self());
  for (int i = 0; i < NSIZES; i++) {
    void *p = hide(malloc(SIZES[i]));
    p = hide(realloc(p, SIZES[i] * 2 + 1));
    free(p);
    free(hide(calloc(1, SIZES[i])));
    free(hide(memalign(4096, SIZES[i])));
  }
  malloc_trim(0);
  through = 1;
  pthread_testcancel();
  through = 2;
  return arg;
}
int main(void) {
  pthread_t t;
  void *result;
  CHECK(pthread_create(&t, NULL, thread, NULL) == 0);
  pthread_join(t, &result);
  CHECKF(through == 1 && result == PTHREAD_CANCELED, "through = %d", through);
  return ok();
}
