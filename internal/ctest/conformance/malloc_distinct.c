// Live blocks don't overlap: each keeps its pattern while others come and go.
#include "check.h"
enum { N = 3000 };
static void *p[N];
static size_t size[N];
int main(void) {
  uint64_t seed = 7;
  for (int step = 0; step < 20000; step++) {
    size_t i = rnd(&seed) % N;
    if (p[i]) {
      size_t at = mismatch(p[i], size[i], (uintptr_t)p[i]);
      CHECKF(at == size[i], "block %p of %zu bytes lost byte %zu", p[i], size[i], at);
      free(p[i]);
    }
    size[i] = rnd(&seed) % ((size_t)1 << (rnd(&seed) % 16));
    p[i] = hide(malloc(size[i]));
    CHECK(p[i] != NULL);
    fill(p[i], size[i], (uintptr_t)p[i]);
  }
  for (int i = 0; i < N; i++) {
    if (p[i]) CHECK(mismatch(p[i], size[i], (uintptr_t)p[i]) == size[i]);
    free(p[i]);
  }
  return ok();
}
