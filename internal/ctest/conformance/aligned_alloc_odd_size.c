// aligned_alloc takes a size that is no multiple of the alignment (C17 DR 460).
#include "check.h"
int main(void) {
  for (size_t a = 1; a <= 1 << 20; a *= 2)
    for (size_t n = 0; n < 300; n += 7) {
      void *p = hide(aligned_alloc(a, n));
      CHECKF(p != NULL && aligned(p, a) && malloc_usable_size(p) >= n, "aligned_alloc(%zu, %zu) = %p", a, n, p);
      memset(p, 1, n);
      free(p);
    }
  return ok();
}
