// expect: ^free\b.*double free
// A large block freed twice.
#include "misuse.h"
int main(void) {
  bystanders();
  void *p = hide(malloc(3 << 20));
  free(p);
  MISUSE(p, free(p));
  return survived();
}
