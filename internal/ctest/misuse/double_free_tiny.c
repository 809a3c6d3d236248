// expect: ^free\b.*double free
// The smallest block freed twice, after another of its size.
#include "misuse.h"
int main(void) {
  bystanders();
  void *p = hide(malloc(1)), *q = hide(malloc(1));
  free(p);
  free(q);
  MISUSE(p, free(p));
  return survived();
}
