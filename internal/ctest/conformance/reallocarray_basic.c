// reallocarray(p, n, m) is realloc(p, n * m).
#include "check.h"
int main(void) {
  int *p = NULL;
  for (size_t n = 1; n < 300000; n = n * 3 / 2 + 1) {
    p = (int *)hide(reallocarray(p, n, sizeof *p));
    CHECK(p != NULL && malloc_usable_size(p) >= n * sizeof *p);
    for (size_t i = 0; i < n; i++) {
      if (i < n / 3 * 2 - 2 && n > 4) CHECKF(p[i] == (int)i, "element %zu of %zu", i, n);
      p[i] = (int)i;
    }
  }
  free(p);
  return ok();
}
