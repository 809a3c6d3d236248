// posix_memalign returns ENOMEM on overflow and leaves *memptr alone.
#include "check.h"
int main(void) {
  for (size_t a = sizeof(void *); a <= (size_t)1 << 62; a *= 2) {
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - a, SIZE_MAX - a + 1, PTRDIFF_MAX};
    for (int k = 0; k < 4; k++) {
      void *p = (void *)0x77;
      int r = posix_memalign(&p, num(a), num(sizes[k]));
      CHECKF(r == ENOMEM, "posix_memalign(%zu, %zu) = %d", a, sizes[k], r);
      CHECK(hide(p) == (void *)0x77);
    }
  }
  return ok();
}
