// only: vcmalloc
// aligned_alloc of an alignment that is no power of two, or 0, fails with
// EINVAL (glibc before 2.38 rounds it up instead).
#include "check.h"
int main(void) {
  static const size_t bad[] = {0, 3, 5, 6, 7, 9, 12, 17, 24, 48, 100, 4095, 4097, 12288, SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 2 + 2};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    FAILS_WITH(EINVAL, aligned_alloc(num(bad[i]), 96));
    FAILS_WITH(EINVAL, aligned_alloc(num(bad[i]), 0));
    FAILS_WITH(EINVAL, aligned_alloc(num(bad[i]), num(SIZE_MAX)));
  }
  return ok();
}
