// vcmalloc_release gives back about what it was asked for and no less, keeps errno, and RSS falls by that.
#include "check.h"
size_t vcmalloc_release(size_t) __attribute__((weak));
static void *p[96];
int main(void) {
  if (!vcmalloc_release) return ok(); // another allocator
  size_t r = 1, sum = 0;
  KEEPS_ERRNO(r = vcmalloc_release(0));
  CHECK(r == 0);
  for (int i = 0; i < 96; i++) memset(p[i] = hide(malloc(1 << 20)), 1, 1 << 20);
  long full = proc_status("VmRSS:");
  for (int i = 0; i < 96; i++) free(p[i]);
  for (int i = 0; i < 64; i++) {
    KEEPS_ERRNO(r = vcmalloc_release(1 << 20));
    sum += r;
  }
  CHECKF(sum >= 62 << 20 && sum <= 66 << 20, "gave back %zu bytes", sum);
  long less = proc_status("VmRSS:");
  CHECKF(full - less > 60 << 10, "RSS %ld KiB full, %ld released", full, less);
  return ok();
}
