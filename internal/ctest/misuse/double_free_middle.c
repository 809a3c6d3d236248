// expect: ^free\b.*double free
// A block of many pages freed twice.
#include "misuse.h"
int main(void) {
  bystanders();
  void *p = hide(malloc(100000));
  free(p);
  MISUSE(p, free(p));
  return survived();
}
