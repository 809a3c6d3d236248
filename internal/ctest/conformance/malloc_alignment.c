// malloc, calloc and realloc align every size to 16 bytes.
#include "check.h"
int main(void) {
  uint64_t seed = 1;
  for (size_t n = 0; n <= 4096 + 500; n++) {
    size_t size = n <= 4096 ? n : rnd(&seed) % (1 << 20);
    void *a = hide(malloc(size)), *b = hide(calloc(1, size)), *c = hide(realloc(NULL, size)), *d = hide(malloc(size));
    CHECK(a && b && c && d);
    CHECKF(aligned(a, 16), "malloc(%zu) = %p", size, a);
    CHECKF(aligned(b, 16), "calloc(1, %zu) = %p", size, b);
    CHECKF(aligned(c, 16), "realloc(NULL, %zu) = %p", size, c);
    c = hide(realloc(c, size + 1 + rnd(&seed) % 1000));
    CHECKF(aligned(c, 16), "realloc from %zu = %p", size, c);
    free(a), free(b), free(c), free(d);
  }
  return ok();
}
