// realloc takes blocks of every aligned function and keeps their contents.
#include "check.h"
int main(void) {
  for (size_t a = 16; a <= 4 << 20; a *= 2)
    for (size_t n = 1; n <= 1 << 20; n = n * 5 + 3) {
      char *p[3];
      p[0] = (char *)hide(memalign(a, n));
      p[1] = (char *)hide(aligned_alloc(a, n));
      void *q;
      CHECK(posix_memalign(&q, a, n) == 0);
      p[2] = (char *)hide(q);
      for (int k = 0; k < 3; k++) {
        CHECK(p[k] != NULL && aligned(p[k], a));
        fill(p[k], n, a);
      }
      for (int k = 0; k < 3; k++) {
        p[k] = (char *)hide(realloc(p[k], n * 2));
        CHECK(p[k] != NULL && mismatch(p[k], n, a) == n);
        p[k] = (char *)hide(realloc(p[k], n / 2 + 1));
        CHECK(p[k] != NULL && mismatch(p[k], n / 2 + 1, a) == n / 2 + 1);
        free(p[k]);
      }
    }
  return ok();
}
