// expect: ^free_sized\b.*size mismatch
// free_sized with the size of a smaller class.
#include "misuse.h"
#define FREE_SIZED ((void (*)(void *, size_t))sym("free_sized"))
int main(void) {
  bystanders();
  void *p = hide(malloc(1000));
  MISUSE(p, FREE_SIZED(p, 100));
  return survived();
}
