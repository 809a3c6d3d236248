// mallopt takes glibc's parameters and returns 0 or 1; the heap works after.
#include "check.h"
int main(void) {
  static const int param[] = {M_MXFAST, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_CHECK_ACTION, M_ARENA_TEST, M_ARENA_MAX};
  for (size_t i = 0; i < sizeof param / sizeof param[0]; i++) {
    int r = mallopt(param[i], 65536 >> (i == 0 ? 10 : 0));
    CHECKF(r == 0 || r == 1, "mallopt(%d) = %d", param[i], r);
  }
  int r = mallopt(12345, 1);
  CHECK(r == 0 || r == 1);
  for (int i = 0; i < NSIZES; i++) {
    char *p = (char *)hide(malloc(SIZES[i]));
    CHECK(p != NULL);
    memset(p, 1, SIZES[i]);
    free(p);
  }
  return ok();
}
