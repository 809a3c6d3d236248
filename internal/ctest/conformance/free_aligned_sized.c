// only: vcmalloc
// C23 free_aligned_sized takes what was given to aligned_alloc, and NULL.
#include "check.h"
int main(void) {
  void (*free_aligned_sized_)(void *, size_t, size_t) = (void (*)(void *, size_t, size_t))sym("free_aligned_sized");
  size_t before = in_use();
  for (size_t a = 1; a <= (size_t)1 << 30; a *= 2)
    for (size_t n = 0; n < 5 << 20; n = n * 5 + 1) {
      void *p = hide(aligned_alloc(a, n));
      CHECKF(p != NULL, "aligned_alloc(%zu, %zu)", a, n);
      KEEPS_ERRNO(free_aligned_sized_(p, a, n));
    }
  KEEPS_ERRNO(free_aligned_sized_(NULL, 64, 100));
  KEEPS_ERRNO(free_aligned_sized_(NULL, 0, 0));
  KEEPS_ERRNO(free_aligned_sized_(NULL, SIZE_MAX, SIZE_MAX));
  CHECK(in_use() < before + (1 << 20));
  return ok();
}
