// A large block grows to 1 GiB and shrinks again, keeping its contents; what
// a shrink gives up goes back to the system.
#include "check.h"
int main(void) {
  size_t n = 8 << 20;
  char *p = (char *)hide(malloc(n));
  CHECK(p != NULL);
  fill(p, n, 1);
  for (size_t m = 2 * n; m <= (size_t)1 << 30; m *= 2) {
    p = (char *)hide(realloc(p, m));
    CHECKF(p != NULL, "to %zu", m);
    CHECKF(mismatch(p, n, 1) == n, "to %zu", m);
    p[m - 1] = 7;
  }
  memset(p + n, 9, 192 << 20);
  long full = proc_status("VmRSS:");
  p = (char *)hide(realloc(p, n));
  CHECK(p != NULL && mismatch(p, n, 1) == n);
  malloc_trim(0);
  long shrunk = proc_status("VmRSS:");
  CHECKF(shrunk < full - (128 << 10), "RSS was %ld KiB, is %ld KiB after the shrink", full, shrunk);
  free(p);
  return ok();
}
