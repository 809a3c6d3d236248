// mallinfo2 counts what the program holds: bytes in use grow by what is
// allocated and shrink by what is freed, for every size.
#include "check.h"
static void *p[20000];
int main(void) {
  for (int i = 1; i < NSIZES; i++) {
    size_t n = SIZES[i], k = 0, before = in_use(), usable = 0;
    for (size_t total = 0; k < 20000 && total < (24 << 20); total += n, k++) {
      CHECK((p[k] = hide(malloc(n))) != NULL);
      usable += malloc_usable_size(p[k]);
    }
    size_t grown = in_use() - before;
    // glibc adds a header of 8 to 16 bytes, and a page to mapped blocks.
    CHECKF(grown >= usable && grown <= usable + k * (n > 100000 ? 4096 : 16) + 65536,
           "%zu blocks of %zu: %zu bytes usable, in use grew by %zu", k, n, usable, grown);
    for (size_t j = 0; j < k; j++) free(p[j]);
    size_t left = in_use();
    // glibc counts blocks in its thread cache as in use.
    CHECKF(left <= before + 65536, "after freeing blocks of %zu: %zu in use, %zu before", n, left, before);
  }
  return ok();
}
