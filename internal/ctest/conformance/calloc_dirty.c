// calloc zeroes memory that was used before: small, large and huge, reused
// whole, split and merged with neighbours.
#include "check.h"
static void *p[4096];
int main(void) {
  for (int i = 0; i < NSIZES; i++) {
    int n = SIZES[i] < 1024 ? 4096 : SIZES[i] < 262145 ? 64 : 4;
    for (int k = 0; k < n; k++) {
      p[k] = hide(malloc(SIZES[i]));
      CHECK(p[k] != NULL);
      memset(p[k], 0xa5, malloc_usable_size(p[k]));
    }
    for (int k = 0; k < n; k++) free(p[k]);
    for (int j = i > 3 ? i - 3 : 0; j < i + 2 && j < NSIZES; j++) {
      for (int k = 0; k < n; k++) {
        p[k] = hide(calloc(SIZES[j], 1));
        CHECK(p[k] != NULL);
        CHECKF(all_zero(p[k], SIZES[j]), "calloc(%zu) after dirty blocks of %zu", SIZES[j], SIZES[i]);
        memset(p[k], 0x5a, SIZES[j]);
      }
      for (int k = 0; k < n; k++) free(p[k]);
    }
  }
  return ok();
}
