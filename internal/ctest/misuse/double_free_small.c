// expect: ^free\b.*double free
// A small block freed twice, at once.
#include "misuse.h"
int main(void) {
  bystanders();
  void *p = hide(malloc(24));
  free(p);
  MISUSE(p, free(p));
  return survived();
}
