// A system call filter that swallows membarrier and says it worked: fences abort nobody. The self-test finds
// out when the background thread starts, says so in one line, and the program goes on with locks.
// only: vcmalloc
// serial:
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include "seccomp.h"
#include "watchdog.h"
enum { THREADS = 4, SLOTS = 500 };
static void *worker(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg;
  unsigned char *slot[SLOTS] = {0};
  size_t size[SLOTS];
  for (int i = 0; i < 200000; i++) {
    size_t k = rnd(&seed) % SLOTS;
    if (slot[k] != NULL) CHECK(mismatch(slot[k], size[k], k) == size[k]);
    free(slot[k]);
    size[k] = rnd(&seed) % 300;
    slot[k] = hide(malloc(size[k]));
    CHECK(slot[k] != NULL);
    fill(slot[k], size[k], k);
  }
  for (int k = 0; k < SLOTS; k++) free(slot[k]);
  return NULL;
}
int main(void) {
  watchdog(50);
  int ends[2], err = dup(2);
  CHECK(pipe(ends) == 0 && err >= 0);
  struct denial d[] = {{.nr = SYS_membarrier, .err = 0}};
  deny_syscalls(d, 1);
  CHECK(syscall(SYS_membarrier, 1 << 7, 0, 0) == 0);
  CHECK(dup2(ends[1], 2) == 2);
  void *large[80];
  for (int i = 0; i < 80; i++) CHECK((large[i] = hide(malloc(1 << 20))) != NULL);
  struct pollfd p = {.fd = ends[0], .events = POLLIN};
  char line[300] = "";
  int came = poll(&p, 1, 20000);
  if (came == 1) CHECK(read(ends[0], line, sizeof line - 1) > 0);
  dup2(err, 2);
  CHECKF(strstr(line, "guarded by locks") != NULL, "the library said: \"%s\"", line);
  usleep(100000); // until the locks are in force
  pthread_t t[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], NULL, worker, (void *)(uintptr_t)(i + 1)) == 0);
  for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  for (int i = 0; i < 80; i++) free(large[i]);
  return ok();
}
