// A realloc or reallocarray that fails leaves the old block as it was.
#include "check.h"
int main(void) {
  for (int i = 0; i < NSIZES; i++) {
    char *p = (char *)hide(malloc(SIZES[i]));
    CHECK(p != NULL);
    fill(p, SIZES[i], (uint64_t)i);
    NOMEM(realloc(p, num(SIZE_MAX)));
    NOMEM(realloc(p, num(PTRDIFF_MAX)));
    NOMEM(realloc(p, num((size_t)1 << 60)));
    NOMEM(reallocarray(p, num(SIZE_MAX), 2));
    NOMEM(reallocarray(p, num(SIZE_MAX / 2 + 1), 2));
    NOMEM(reallocarray(p, num((size_t)1 << 33), num((size_t)1 << 33)));
    CHECKF(mismatch(p, SIZES[i], (uint64_t)i) == SIZES[i], "block of %zu bytes damaged", SIZES[i]);
    free(p);
  }
  return ok();
}
