// A trivial program under ulimit -v: 512 MiB, 256 MiB and 128 MiB, threads
// with 64 KiB stacks included.
// run: 512
// run: 256
// run: 128
#include <pthread.h>
#include "exhaust.h"
static void *thread(void *arg) {
  for (int i = 0; i < NSIZES; i++) {
    void *p = hide(malloc(SIZES[i]));
    CHECK(p != NULL);
    free(p);
  }
  return arg;
}
int main(int argc, char **argv) {
  limited(RLIMIT_AS, (size_t)arg_long(argc, argv, 1, 512), argc, argv);
  thread(NULL);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 64 << 10);
  pthread_t t[8];
  for (int i = 0; i < 8; i++) CHECK(pthread_create(&t[i], &attr, thread, NULL) == 0);
  for (int i = 0; i < 8; i++) pthread_join(t[i], NULL);
  return ok();
}
