// only: vcmalloc
// C23 free_sized takes the size given to malloc, calloc, realloc or
// reallocarray, and NULL with any size.
#include "check.h"
int main(void) {
  void (*free_sized_)(void *, size_t) = (void (*)(void *, size_t))sym("free_sized");
  size_t before = in_use();
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < NSIZES; i++) {
      size_t n = SIZES[i];
      void *p = hide(malloc(n));
      KEEPS_ERRNO(free_sized_(p, n));
      p = hide(calloc(1, n));
      KEEPS_ERRNO(free_sized_(p, n));
      p = hide(calloc(n, 3));
      KEEPS_ERRNO(free_sized_(p, n * 3));
      p = hide(realloc(NULL, n));
      KEEPS_ERRNO(free_sized_(p, n));
      for (int k = 0; k < NSIZES; k++) {
        if (SIZES[k] == 0 || n + SIZES[k] > (4 << 20)) continue;
        p = hide(realloc(hide(malloc(n)), SIZES[k]));
        CHECK(p != NULL);
        KEEPS_ERRNO(free_sized_(p, SIZES[k]));
      }
      p = hide(reallocarray(NULL, n, 5));
      KEEPS_ERRNO(free_sized_(p, n * 5));
    }
  KEEPS_ERRNO(free_sized_(NULL, 0));
  KEEPS_ERRNO(free_sized_(NULL, 100));
  KEEPS_ERRNO(free_sized_(NULL, SIZE_MAX));
  CHECK(in_use() < before + (1 << 20));
  return ok();
}
