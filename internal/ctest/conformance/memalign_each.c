// memalign and aligned_alloc honour every alignment from 1 to 1 GiB.
#include "check.h"
static const size_t sizes[] = {0, 1, 24, 100, 4096, 8193, 300000, 2097153};
int main(void) {
  for (int round = 0; round < 4; round++)
    for (size_t a = 1; a <= (size_t)1 << 30; a *= 2) {
      char *p[2 * sizeof sizes / sizeof sizes[0]];
      int n = 0;
      for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        p[n] = (char *)hide(memalign(a, sizes[i]));
        CHECKF(p[n] != NULL && aligned(p[n], a), "memalign(%zu, %zu) = %p", a, sizes[i], p[n]);
        CHECK(malloc_usable_size(p[n]) >= sizes[i]);
        fill(p[n], sizes[i], (uint64_t)n);
        n++;
        p[n] = (char *)hide(aligned_alloc(a, sizes[i]));
        CHECKF(p[n] != NULL && aligned(p[n], a), "aligned_alloc(%zu, %zu) = %p", a, sizes[i], p[n]);
        fill(p[n], sizes[i], (uint64_t)n);
        n++;
      }
      for (int k = 0; k < n; k++) {
        size_t size = sizes[k / 2];
        CHECKF(mismatch(p[k], size, (uint64_t)k) == size, "alignment %zu, size %zu", a, size);
        free(p[k]);
      }
    }
  return ok();
}
