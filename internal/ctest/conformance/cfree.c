// only: vcmalloc
// cfree is free (glibc keeps it for old binaries only).
#include "check.h"
int main(void) {
  void (*cfree_)(void *) = (void (*)(void *))sym("cfree");
  size_t before = in_use();
  for (int round = 0; round < 20; round++)
    for (int i = 0; i < NSIZES; i++) {
      void *p = hide(malloc(SIZES[i]));
      CHECK(p != NULL);
      KEEPS_ERRNO(cfree_(p));
    }
  KEEPS_ERRNO(cfree_(NULL));
  CHECK(in_use() < before + (1 << 20));
  return ok();
}
