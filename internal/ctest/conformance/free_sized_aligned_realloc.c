// only: vcmalloc
// free_sized takes the n given to the last realloc, also when the block began
// as an aligned one, and every n up to the usable size when grown in place.
#include "check.h"
int main(void) {
  void (*free_sized_)(void *, size_t) = (void (*)(void *, size_t))sym("free_sized");
  for (size_t a = 16; a <= 4 << 20; a *= 4)
    for (int i = 0; i < NSIZES; i++) {
      for (size_t to = 1; to < 1 << 20; to = to * 7 + 1) {
        void *p = hide(realloc(hide(memalign(a, SIZES[i])), to));
        CHECK(p != NULL);
        memset(p, 1, to);
        free_sized_(p, to);
      }
    }
  for (int i = 0; i < NSIZES; i++) {
    // realloc by one byte at a time: the request changes, the block may not.
    void *p = hide(malloc(SIZES[i]));
    for (int k = 1; k < 40; k++) p = hide(realloc(p, SIZES[i] + (size_t)k));
    free_sized_(p, SIZES[i] + 39);
    p = hide(malloc(SIZES[i]));
    size_t n = SIZES[i];
    for (int k = 1; k < 40 && n > 1; k++) p = hide(realloc(p, --n));
    free_sized_(p, n);
  }
  return ok();
}
