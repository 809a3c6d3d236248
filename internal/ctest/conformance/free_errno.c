// free keeps errno: in order, in reverse, of small blocks, of large ones which
// go back to the system, and of gigabytes.
#include "check.h"
static void *p[2000];
int main(void) {
  for (int i = 0; i < NSIZES; i++) {
    int n = SIZES[i] < 5000 ? 2000 : SIZES[i] < 300000 ? 100 : 16;
    for (int k = 0; k < n; k++) {
      CHECK((p[k] = hide(malloc(SIZES[i]))) != NULL);
      if (SIZES[i]) memset(p[k], 1, SIZES[i] < 4096 ? SIZES[i] : 4096);
    }
    for (int k = 0; k < n; k++) KEEPS_ERRNO(free(p[i & 1 ? k : n - 1 - k]));
  }
  for (size_t n = 16 << 20; n <= (size_t)2 << 30; n *= 2) {
    void *q = hide(malloc(n));
    CHECK(q != NULL);
    KEEPS_ERRNO(free(q));
  }
  return ok();
}
