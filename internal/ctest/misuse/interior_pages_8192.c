// expect: ^free\b.*interior
// free of a pointer 8192 bytes into a block of 20000.
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide(malloc(20000));
  MISUSE(p + 8192, free(p + 8192));
  free(p);
  return survived();
}
