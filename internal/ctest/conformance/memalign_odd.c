// memalign with an alignment that is no power of two either rounds it up, as
// glibc does, or fails with EINVAL; one past half the address space fails.
#include "check.h"
int main(void) {
  static const size_t odd[] = {0, 3, 5, 17, 24, 48, 100, 4095, 4097, 12288, 1000000};
  for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
    errno = 0;
    void *p = hide(memalign(num(odd[i]), 100));
    if (p == NULL) {
      CHECKF(errno == EINVAL, "memalign(%zu, 100)", odd[i]);
      continue;
    }
    size_t up = 1;
    while (up < odd[i]) up *= 2;
    CHECKF(aligned(p, up) && aligned(p, 16), "memalign(%zu, 100) = %p", odd[i], p);
    memset(p, 1, 100);
    free(p);
  }
  errno = 0;
  void *p = hide(memalign(num(SIZE_MAX / 2 + 2), 1));
  CHECK(p == NULL && (errno == EINVAL || errno == ENOMEM));
  p = hide(memalign(num(SIZE_MAX), 1));
  CHECK(p == NULL && (errno == EINVAL || errno == ENOMEM));
  return ok();
}
