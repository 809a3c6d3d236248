// expect: ^free_sized\b.*interior
// free_sized of a pointer into a block.
#include "misuse.h"
#define FREE_SIZED ((void (*)(void *, size_t))sym("free_sized"))
int main(void) {
  bystanders();
  char *p = (char *)hide(malloc(100));
  MISUSE(p + 16, FREE_SIZED(p + 16, 84));
  free(p);
  return survived();
}
