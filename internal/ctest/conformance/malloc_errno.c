// A successful malloc, calloc, realloc, memalign leaves errno alone, on the
// first call of each size as on later ones.
#include "check.h"
int main(void) {
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < NSIZES; i++) {
      void *p[8];
      KEEPS_ERRNO(p[0] = hide(malloc(SIZES[i])));
      KEEPS_ERRNO(p[1] = hide(calloc(3, SIZES[i])));
      KEEPS_ERRNO(p[2] = hide(realloc(NULL, SIZES[i])));
      KEEPS_ERRNO(p[2] = hide(realloc(p[2], SIZES[i] * 2 + 1)));
      KEEPS_ERRNO(p[3] = hide(memalign(256, SIZES[i])));
      KEEPS_ERRNO(p[4] = hide(aligned_alloc(64, SIZES[i])));
      KEEPS_ERRNO(CHECK(posix_memalign(&p[5], 4096, SIZES[i]) == 0));
      KEEPS_ERRNO(p[6] = hide(valloc(SIZES[i])));
      KEEPS_ERRNO(p[7] = hide(reallocarray(NULL, SIZES[i], 2)));
      for (int k = 0; k < 8; k++) {
        CHECK(p[k] != NULL);
        KEEPS_ERRNO(CHECK(malloc_usable_size(p[k]) >= SIZES[i]));
        KEEPS_ERRNO(free(p[k]));
      }
    }
  return ok();
}
