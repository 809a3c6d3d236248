// posix_memalign returns EINVAL for an alignment that is no power of two or no
// multiple of sizeof(void *), and touches neither errno nor *memptr.
#include "check.h"
int main(void) {
  static const size_t bad[] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 20, 24, 40, 48, 100, 4095, 4097, 12288, SIZE_MAX, SIZE_MAX - 7};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    for (int k = 0; k < 3; k++) {
      static const size_t sizes[] = {0, 64, SIZE_MAX};
      void *p = (void *)0x77;
      int r = 0;
      KEEPS_ERRNO(r = posix_memalign(&p, num(bad[i]), num(sizes[k])));
      CHECKF(r == EINVAL, "posix_memalign(%zu, %zu) = %d", bad[i], sizes[k], r);
      CHECK(hide(p) == (void *)0x77);
    }
  return ok();
}
