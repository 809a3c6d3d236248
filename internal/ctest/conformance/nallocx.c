// only: vcmalloc
// nallocx(n, flags) is the usable size an allocation would have: the low six
// bits of flags are lg(alignment). Programs such as redis import it.
#include "check.h"
int main(void) {
  size_t (*nallocx_)(size_t, int) = (size_t(*)(size_t, int))sym("nallocx");
  for (int i = 0; i < NSIZES; i++) {
    void *p = hide(malloc(SIZES[i]));
    CHECKF(nallocx_(SIZES[i], 0) == malloc_usable_size(p), "nallocx(%zu, 0) = %zu, malloc gives %zu", SIZES[i],
           nallocx_(SIZES[i], 0), malloc_usable_size(p));
    free(p);
  }
  size_t last = 0;
  for (size_t n = 1; n < 600000; n += 1 + n / 50) {
    size_t x = nallocx_(n, 0);
    CHECKF(x >= n && x >= last, "nallocx(%zu, 0) = %zu after %zu", n, x, last);
    CHECKF(nallocx_(x, 0) == x, "nallocx(%zu, 0) = %zu, yet nallocx of that = %zu", n, x, nallocx_(x, 0));
    last = x;
  }
  for (int lg = 0; lg <= 22; lg++)
    for (size_t n = 1; n < 3 << 20; n = n * 3 + 1) {
      void *p = hide(aligned_alloc((size_t)1 << lg, n));
      CHECKF(nallocx_(n, lg) == malloc_usable_size(p), "nallocx(%zu, %d) = %zu, aligned_alloc gives %zu", n, lg,
             nallocx_(n, lg), malloc_usable_size(p));
      free(p);
    }
  KEEPS_ERRNO((void)nallocx_(100, 0));
  return ok();
}
