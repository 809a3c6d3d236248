// only: vcmalloc
// sdallocx(p, n, flags) frees a block given its size and lg(alignment), where
// n is anything from the request to the usable size.
#include "check.h"
int main(void) {
  void (*sdallocx_)(void *, size_t, int) = (void (*)(void *, size_t, int))sym("sdallocx");
  size_t before = in_use();
  for (int i = 0; i < NSIZES; i++) {
    KEEPS_ERRNO(sdallocx_(hide(malloc(SIZES[i])), SIZES[i], 0));
    void *p = hide(malloc(SIZES[i]));
    KEEPS_ERRNO(sdallocx_(p, malloc_usable_size(p), 0));
  }
  for (int lg = 0; lg <= 30; lg++)
    for (size_t n = 1; n < 3 << 20; n = n * 3 + 1)
      KEEPS_ERRNO(sdallocx_(hide(aligned_alloc((size_t)1 << lg, n)), n, lg));
  CHECK(in_use() < before + (1 << 20));
  return ok();
}
