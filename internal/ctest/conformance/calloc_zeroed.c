// calloc memory is zero over the whole usable size, fresh and of every size.
#include "check.h"
int main(void) {
  for (int i = 0; i < NSIZES; i++)
    for (int k = 0; k < 8; k++) {
      char *p = (char *)hide(calloc(1, SIZES[i]));
      CHECK(p != NULL);
      CHECKF(all_zero(p, SIZES[i]), "calloc(1, %zu)", SIZES[i]);
      // Left allocated: the next one is fresh too.
    }
  char *p = (char *)hide(calloc(12345, 6789));
  CHECK(p != NULL && all_zero(p, (size_t)12345 * 6789));
  free(p);
  return ok();
}
