// realloc within the usable size, and to the same size, keeps the contents.
#include "check.h"
int main(void) {
  for (int i = 0; i < NSIZES; i++) {
    char *p = (char *)hide(malloc(SIZES[i]));
    size_t usable = malloc_usable_size(p);
    fill(p, usable, 3);
    for (int k = 0; k < 4 && usable; k++) {
      p = (char *)hide(realloc(p, k & 1 ? usable : SIZES[i] ? SIZES[i] : 1));
      CHECK(p != NULL);
      CHECK(mismatch(p, SIZES[i], 3) == SIZES[i]);
    }
    free(p);
  }
  return ok();
}
