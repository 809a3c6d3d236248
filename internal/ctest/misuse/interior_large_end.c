// expect: ^free\b.*interior
// free of a pointer ((4 << 20) - 16) bytes into a block of (4 << 20).
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide(malloc((4 << 20)));
  MISUSE(p + ((4 << 20) - 16), free(p + ((4 << 20) - 16)));
  free(p);
  return survived();
}
