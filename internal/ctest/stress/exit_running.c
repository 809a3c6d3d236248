// exit while other threads allocate, 40 times in children, with and without
// atexit handlers, ends every time.
// timeout: 60s
#include <pthread.h>
#include "watchdog.h"
static void *forever(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg;
  for (;;) free(hide(malloc(rnd(&seed) % ((size_t)1 << (rnd(&seed) % 20)))));
  return NULL;
}
static void handler(void) {
  for (int i = 0; i < 1000; i++) free(hide(malloc((size_t)i * 10)));
}
int main(void) {
  watchdog(55);
  for (int r = 0; r < 40; r++) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      watchdog(20);
      if (r & 1) atexit(handler);
      pthread_t t;
      for (int i = 0; i < 4; i++) CHECK(pthread_create(&t, NULL, forever, (void *)(uintptr_t)(i + 1)) == 0);
      usleep(1000 * (unsigned)(r % 5));
      if (r & 2) pthread_exit((exit(0), NULL));
      exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECKF(status == 0, "round %d: status %#x", r, status);
  }
  return ok();
}
