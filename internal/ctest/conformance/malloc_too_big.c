// malloc of impossible sizes is NULL with ENOMEM, and leaves the heap usable.
#include "check.h"
int main(void) {
  static const size_t big[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 4095, SIZE_MAX - 8191,
                               SIZE_MAX - (2 << 20) + 1, SIZE_MAX - (2 << 20), SIZE_MAX / 2 + 2, SIZE_MAX / 2 + 1,
                               PTRDIFF_MAX, (size_t)PTRDIFF_MAX - 4096, (size_t)1 << 62, (size_t)1 << 56, (size_t)1 << 48};
  for (size_t i = 0; i < sizeof big / sizeof big[0]; i++)
    for (int k = 0; k < 100; k++) {
      NOMEM(malloc(num(big[i])));
      void *p = hide(malloc(24));
      CHECK(p != NULL);
      free(p);
    }
  return ok();
}
