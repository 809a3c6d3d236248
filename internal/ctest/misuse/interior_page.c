// expect: ^free\b.*interior
// free of a pointer into a block of one page.
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide(malloc(8192));
  MISUSE(p + 24, free(p + 24));
  free(p);
  return survived();
}
