// only: vcmalloc
// posix_memalign that fails returns the error and leaves errno alone (glibc's
// sets errno to ENOMEM).
#include "check.h"
int main(void) {
  for (size_t a = sizeof(void *); a <= (size_t)1 << 62; a *= 2) {
    void *p = NULL;
    KEEPS_ERRNO(CHECK(posix_memalign(&p, num(a), num(SIZE_MAX)) == ENOMEM));
    KEEPS_ERRNO(CHECK(posix_memalign(&p, num(a), num(PTRDIFF_MAX)) == ENOMEM));
  }
  return ok();
}
