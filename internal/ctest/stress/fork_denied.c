// A program forks while the system refuses all further memory: in parent and child
// malloc returns a block or NULL with ENOMEM, blocks keep their contents, the
// child can free what its parent's threads had, and all of them end well.
// run: 60
// norseq: 20
// timeout: 60s
#include <pthread.h>
#include "seccomp.h"
#include "watchdog.h"
enum { SLOTS = 4096, THREADS = 3, MOST = 20000 };
struct block {
  size_t n;
  unsigned char body[];
};
static struct block *slot[SLOTS];
static unsigned long refused;
static int stop;
static struct block *make(uint64_t *seed) {
  size_t n = sizeof(struct block) + 1 + rnd(seed) % (rnd(seed) % 16 ? 2000 : MOST);
  errno = 0;
  struct block *b = (struct block *)hide(malloc(n));
  if (b == NULL) {
    CHECKF(errno == ENOMEM, "errno %d", errno);
    __atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
    return NULL;
  }
  b->n = n;
  b->body[0] = b->body[n - sizeof *b - 1] = (unsigned char)n;
  return b;
}
static void unmake(struct block *b) {
  if (b == NULL) return;
  size_t n = b->n;
  CHECKF(b->body[0] == (unsigned char)n && b->body[n - sizeof *b - 1] == (unsigned char)n, "block of %zu bytes damaged", n);
  KEEPS_ERRNO(free(b));
}
static void churn(uint64_t *seed, int n) {
  for (int i = 0; i < n; i++) {
    struct block *b = make(seed);
    unmake((struct block *)__atomic_exchange_n(&slot[rnd(seed) % SLOTS], b, __ATOMIC_ACQ_REL));
  }
}
static void *worker(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) churn(&seed, 100);
  return NULL;
}
int main(int argc, char **argv) {
  long count = arg_long(argc, argv, 1, 60);
  watchdog(50);
  uint64_t seed = 1;
  churn(&seed, 4 * SLOTS);
  pthread_t t[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], NULL, worker, (void *)(uintptr_t)(i + 2)) == 0);
  struct denial d[] = {{SYS_mmap, ENOMEM}, {SYS_mremap, ENOMEM}, {SYS_brk, ENOMEM}};
  deny_syscalls(d, 3); // this thread and its children; the others can map still, and fill what they share
  for (long i = 0; i < count; i++) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      seed = (uint64_t)i + 10;
      churn(&seed, 200);
      for (int k = 0; k < SLOTS; k++) unmake(slot[k]), slot[k] = NULL;
      refused = 0;
      churn(&seed, 200);
      CHECKF(refused < 200, "each of 200 requests was refused, with all freed");
      _exit(0);
    }
    churn(&seed, 50);
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECKF(status == 0, "child %ld ended with status %#x", i, status);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  for (int k = 0; k < SLOTS; k++) unmake(slot[k]), slot[k] = NULL;
  struct block *b = make(&seed);
  CHECK(b != NULL);
  unmake(b);
  return ok();
}
