// expect: ^free\b.*interior
// free of a pointer 8 bytes into a block of 100.
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide(malloc(100));
  MISUSE(p + 8, free(p + 8));
  free(p);
  return survived();
}
