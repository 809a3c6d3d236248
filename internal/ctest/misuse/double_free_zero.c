// expect: ^free\b.*double free
// The block of malloc(0) freed twice.
#include "misuse.h"
int main(void) {
  bystanders();
  void *p = hide(malloc(0));
  free(p);
  MISUSE(p, free(p));
  return survived();
}
