// expect: ^free\b.*interior
// free of a pointer 16 bytes into a block of 100.
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide(malloc(100));
  MISUSE(p + 16, free(p + 16));
  free(p);
  return survived();
}
