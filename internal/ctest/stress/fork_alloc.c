// A program forks again and again while its threads allocate; each child
// allocates, frees the memory of its parent's threads, sometimes starts a
// thread or forks itself, and ends well.
// run: 1000
// long: 10000
// timeout: 180s
// norseq: 60
#include <pthread.h>
#include "watchdog.h"
enum { SLOTS = 2048, THREADS = 3 };
struct block {
  size_t n;
  uint64_t seed;
  unsigned char body[];
};
static struct block *slot[SLOTS];
static int stop;
static struct block *make(uint64_t *seed) {
  uint64_t r = rnd(seed);
  size_t n = r % 64 == 0 ? r % (1 << 20) : rnd(seed) % ((size_t)1 << (r % 14));
  struct block *b = (struct block *)hide(r & 256 ? malloc(sizeof *b + n) : memalign(64, sizeof *b + n));
  CHECK(b != NULL);
  b->n = n, b->seed = r;
  fill(b->body, n < 512 ? n : 512, r);
  return b;
}
static void unmake(struct block *b) {
  if (b == NULL) return;
  size_t n = b->n < 512 ? b->n : 512;
  CHECKF(mismatch(b->body, n, b->seed) == n, "block %p of %zu bytes damaged", (void *)b, b->n);
  free(b);
}
static void *swap(size_t i, void *with) { return __atomic_exchange_n(&slot[i], (struct block *)with, __ATOMIC_ACQ_REL); }
static void *worker(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    struct block *b = make(&seed);
    if (rnd(&seed) % 8 == 0) {
      size_t n = b->n + rnd(&seed) % 1000;
      b = (struct block *)hide(realloc(b, sizeof *b + n));
      CHECK(b != NULL);
    }
    unmake((struct block *)swap(rnd(&seed) % SLOTS, b));
  }
  return NULL;
}
static void *in_child(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg;
  for (int i = 0; i < 60; i++) unmake((struct block *)swap(rnd(&seed) % SLOTS, make(&seed)));
  return NULL;
}
static int await(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0) CHECK(errno == EINTR);
  return status;
}
static void child(int number) {
  watchdog(30);
  uint64_t seed = (uint64_t)number;
  static struct block *mine[100];
  for (int i = 0; i < 100; i++) mine[i] = make(&seed);
  for (int i = 0; i < SLOTS; i += 1 + number % 3) unmake((struct block *)swap((size_t)i, NULL));
  char *large = (char *)hide(calloc(1, 3 << 20));
  CHECK(large != NULL && large[0] == 0 && large[2 << 20] == 0);
  for (int i = 0; i < 100; i++) unmake(mine[i]);
  free(large);
  in_child((void *)(uintptr_t)number);
  if (number % 10 == 3) {
    pthread_t t;
    CHECK(pthread_create(&t, NULL, in_child, (void *)(uintptr_t)number) == 0);
    pthread_join(t, NULL);
  }
  if (number % 10 == 5) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      watchdog(30);
      in_child((void *)(uintptr_t)number);
      _exit(0);
    }
    CHECK(await(pid) == 0);
  }
  if (number % 2) exit(0);
  _exit(0);
}
int main(int argc, char **argv) {
  int count = (int)arg_long(argc, argv, 1, 1000);
  watchdog(150 + (unsigned)count / 20);
  pthread_t t[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], NULL, worker, (void *)(uintptr_t)(i + 1)) == 0);
  for (int i = 0; i < count; i++) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) child(i);
    int status = await(pid);
    CHECKF(status == 0, "child %d ended with status %#x", i, status);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  for (int i = 0; i < SLOTS; i++) unmake((struct block *)swap((size_t)i, NULL));
  return ok();
}
