// malloc_usable_size is never below the request, does not change, and all of
// it may be written without touching any other block.
#include "check.h"
enum { N = 2048 };
static char *p[N];
static size_t u[N];
int main(void) {
  uint64_t seed = 3;
  for (int i = 0; i < N; i++) {
    size_t n = i < 1100 ? (size_t)i : i < 1100 + NSIZES ? SIZES[i - 1100] : rnd(&seed) % 60000;
    switch (i % 4) {
    case 0: p[i] = (char *)hide(malloc(n)); break;
    case 1: p[i] = (char *)hide(calloc(1, n)); break;
    case 2: p[i] = (char *)hide(realloc(hide(malloc(n / 2)), n ? n : 1)); break;
    case 3: p[i] = (char *)hide(memalign((size_t)8 << (i % 11), n)); break;
    }
    CHECK(p[i] != NULL);
    u[i] = malloc_usable_size(p[i]);
    CHECKF(u[i] >= n, "%zu usable of %zu", u[i], n);
    fill(p[i], u[i], (uint64_t)i);
  }
  for (int i = 0; i < N; i++) {
    CHECK(malloc_usable_size(p[i]) == u[i]);
    size_t at = mismatch(p[i], u[i], (uint64_t)i);
    CHECKF(at == u[i], "block %d of %zu usable bytes overwritten at %zu", i, u[i], at);
    free(p[i]);
  }
  return ok();
}
