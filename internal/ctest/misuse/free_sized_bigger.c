// expect: ^free_sized\b.*size mismatch
// free_sized with the size of a bigger class.
#include "misuse.h"
#define FREE_SIZED ((void (*)(void *, size_t))sym("free_sized"))
int main(void) {
  bystanders();
  void *p = hide(malloc(100));
  MISUSE(p, FREE_SIZED(p, 1000));
  return survived();
}
