// expect: ^free\b.*interior
// free of a pointer 1 bytes into a block of 24.
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide(malloc(24));
  MISUSE(p + 1, free(p + 1));
  free(p);
  return survived();
}
