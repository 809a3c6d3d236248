// realloc(p, 0) frees p and returns NULL, errno untouched, as in glibc;
// reallocarray with a zero factor too.
#include "check.h"
int main(void) {
  size_t before = in_use();
  for (int round = 0; round < 50; round++)
    for (int i = 0; i < NSIZES; i++) {
      void *p = hide(malloc(SIZES[i])), *q = hide(malloc(SIZES[i]));
      CHECK(p != NULL && q != NULL);
      KEEPS_ERRNO(CHECK(hide(realloc(p, num(0))) == NULL));
      KEEPS_ERRNO(CHECK(hide(round & 1 ? reallocarray(q, num(0), 8) : reallocarray(q, 8, num(0))) == NULL));
    }
  size_t after = in_use();
  CHECKF(after < before + (1 << 20), "realloc(p, 0) leaked: %zu bytes in use, then %zu", before, after);
  return ok();
}
