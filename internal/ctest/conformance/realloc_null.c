// realloc(NULL, n) is malloc(n), for n == 0 too.
#include "check.h"
int main(void) {
  for (int i = 0; i < NSIZES; i++) {
    void *p = hide(realloc(NULL, SIZES[i]));
    CHECKF(p != NULL, "realloc(NULL, %zu)", SIZES[i]);
    CHECK(malloc_usable_size(p) >= SIZES[i]);
    memset(p, 1, SIZES[i]);
    free(p);
  }
  NOMEM(realloc(NULL, num(SIZE_MAX)));
  NOMEM(realloc(NULL, num(PTRDIFF_MAX)));
  return ok();
}
