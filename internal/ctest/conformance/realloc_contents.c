// realloc keeps the contents from every size to every other: across classes,
// spans, 256 KiB and hugepages, growing and shrinking.
#include "check.h"
int main(void) {
  for (int i = 0; i < NSIZES; i++)
    for (int k = 0; k < NSIZES; k++) {
      size_t from = SIZES[i], to = SIZES[k], kept = from < to ? from : to;
      if (to == 0 || (from > (1 << 20) && to > (1 << 20) && (i + k) % 7)) continue;
      char *p = (char *)hide(malloc(from));
      CHECK(p != NULL);
      fill(p, from, (uint64_t)(i * 100 + k));
      char *q = (char *)hide(realloc(p, to));
      CHECKF(q != NULL && aligned(q, 16), "realloc from %zu to %zu", from, to);
      size_t at = mismatch(q, kept, (uint64_t)(i * 100 + k));
      CHECKF(at == kept, "realloc from %zu to %zu lost byte %zu", from, to, at);
      CHECK(malloc_usable_size(q) >= to);
      memset(q, 0xee, to);
      free(q);
    }
  return ok();
}
