// expect: ^free\b.*interior
// free of a pointer (2 << 20) bytes into a block of (8 << 20).
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide(malloc((8 << 20)));
  MISUSE(p + (2 << 20), free(p + (2 << 20)));
  free(p);
  return survived();
}
