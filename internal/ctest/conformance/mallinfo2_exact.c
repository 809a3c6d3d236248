// only: vcmalloc
// mallinfo2's bytes in use equal the sum of usable sizes, to the byte, whatever
// thread allocated and freed.
#include <pthread.h>
#include "check.h"
static void *p[4][2000];
static void *work(void *arg) {
  void **mine = p[(intptr_t)arg];
  uint64_t seed = (uint64_t)(intptr_t)arg;
  for (int step = 0; step < 20000; step++) {
    size_t i = rnd(&seed) % 2000;
    free(mine[i]);
    mine[i] = rnd(&seed) % 3 ? hide(malloc(rnd(&seed) % ((size_t)1 << (rnd(&seed) % 20)))) : NULL;
  }
  return arg;
}
static void *nothing(void *arg) { return arg; }
int main(void) {
  pthread_t t[4];
  // Once idle, so that the C library has made its own blocks.
  for (int k = 0; k < 4; k++) CHECK(pthread_create(&t[k], NULL, nothing, NULL) == 0);
  for (int k = 0; k < 4; k++) pthread_join(t[k], NULL);
  size_t before = in_use(), held = 0;
  for (int k = 0; k < 4; k++) CHECK(pthread_create(&t[k], NULL, work, (void *)(intptr_t)k) == 0);
  for (int k = 0; k < 4; k++) pthread_join(t[k], NULL);
  for (int k = 0; k < 4; k++)
    for (int i = 0; i < 2000; i++) held += malloc_usable_size(p[k][i]);
  size_t grown = in_use() - before;
  CHECKF(grown >= held && grown <= held + 4096, "in use grew by %zu, blocks held have %zu", grown, held);
  for (int k = 0; k < 4; k++)
    for (int i = 0; i < 2000; i++) free(p[k][i]);
  CHECKF(in_use() <= before + 4096 && in_use() + 4096 >= before, "%zu in use at the end, %zu at the start", in_use(), before);
  return ok();
}
