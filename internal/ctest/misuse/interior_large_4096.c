// expect: ^free\b.*interior
// free of a pointer 4096 bytes into a block of (4 << 20).
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide(malloc((4 << 20)));
  MISUSE(p + 4096, free(p + 4096));
  free(p);
  return survived();
}
