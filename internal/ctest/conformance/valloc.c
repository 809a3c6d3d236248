// valloc and pvalloc align to the page; pvalloc rounds the size up to whole
// pages; size 0 gives a unique block.
#include "check.h"
int main(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  for (int i = 0; i < NSIZES; i++) {
    char *v = (char *)hide(valloc(SIZES[i])), *w = (char *)hide(pvalloc(SIZES[i]));
    CHECKF(v != NULL && aligned(v, page), "valloc(%zu) = %p", SIZES[i], (void *)v);
    CHECKF(w != NULL && aligned(w, page), "pvalloc(%zu) = %p", SIZES[i], (void *)w);
    CHECK(v != w);
    size_t up = (SIZES[i] + page - 1) / page * page;
    CHECKF(malloc_usable_size(v) >= SIZES[i] && malloc_usable_size(w) >= up, "pvalloc(%zu) has %zu bytes", SIZES[i], malloc_usable_size(w));
    fill(v, SIZES[i], 1);
    fill(w, up, 2);
    CHECK(mismatch(v, SIZES[i], 1) == SIZES[i] && mismatch(w, up, 2) == up);
    free(v), free(w);
  }
  return ok();
}
