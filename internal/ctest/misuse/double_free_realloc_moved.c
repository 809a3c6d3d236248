// expect: ^free\b.*double free
// The old block of a realloc that moved it.
#include "misuse.h"
int main(void) {
  bystanders();
  void *p = hide(malloc(40)), *behind = hide(malloc(40)), *q = hide(realloc(p, 50000));
  CHECK(p != q);
  MISUSE(p, free(p));
  free(q);
  free(behind);
  return survived();
}
