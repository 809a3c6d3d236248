// posix_memalign honours every power of two from sizeof(void *) to 1 GiB and
// sets neither errno nor anything but *memptr.
#include "check.h"
int main(void) {
  static const size_t sizes[] = {0, 1, 24, 100, 4096, 8193, 300000, 2097153};
  for (size_t a = sizeof(void *); a <= (size_t)1 << 30; a *= 2)
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      void *guarded[3] = {(void *)1, (void *)2, (void *)3};
      KEEPS_ERRNO(CHECK(posix_memalign(&guarded[1], num(a), num(sizes[i])) == 0));
      CHECK(guarded[0] == (void *)1 && guarded[2] == (void *)3);
      void *p = hide(guarded[1]);
      CHECKF(p != NULL && aligned(p, a), "posix_memalign(%zu, %zu) = %p", a, sizes[i], p);
      CHECK(malloc_usable_size(p) >= sizes[i]);
      memset(p, 1, sizes[i]);
      free(p);
    }
  return ok();
}
