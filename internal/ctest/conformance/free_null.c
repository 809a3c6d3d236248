// free(NULL) does nothing, also in a new thread and a fresh process.
#include <pthread.h>
#include "check.h"
static void *thread(void *arg) {
  KEEPS_ERRNO(free(hide(NULL)));
  return arg;
}
int main(void) {
  KEEPS_ERRNO(free(hide(NULL)));
  pthread_t t;
  CHECK(pthread_create(&t, NULL, thread, NULL) == 0);
  pthread_join(t, NULL);
  for (int i = 0; i < 1000; i++) free(hide(NULL));
  return ok();
}
