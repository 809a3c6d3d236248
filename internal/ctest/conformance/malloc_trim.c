// malloc_trim returns 0 or 1, keeps errno, and gives back memory: RSS falls
// after 192 MiB of small, middle and large blocks are freed.
#include "check.h"
static void *p[2100000];
int main(void) {
  int r = 2;
  KEEPS_ERRNO(r = malloc_trim(0));
  CHECK(r == 0 || r == 1);
  static const size_t sizes[] = {100, 3000, 100000, 1 << 20};
  for (int k = 0; k < 4; k++) {
    size_t n = (192 << 20) / sizes[k];
    long before = proc_status("VmRSS:");
    for (size_t i = 0; i < n; i++) {
      CHECK((p[i] = hide(malloc(sizes[k]))) != NULL);
      memset(p[i], 1, sizes[k]);
    }
    long full = proc_status("VmRSS:");
    for (size_t i = 0; i < n; i++) free(p[i]);
    KEEPS_ERRNO(r = malloc_trim(0));
    CHECK(r == 0 || r == 1);
    long trimmed = proc_status("VmRSS:");
    CHECKF(trimmed - before < (full - before) / 4, "blocks of %zu: RSS %ld KiB before, %ld full, %ld trimmed", sizes[k], before, full, trimmed);
  }
  KEEPS_ERRNO(r = malloc_trim(SIZE_MAX));
  CHECK(r == 0 || r == 1);
  return ok();
}
