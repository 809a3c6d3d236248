// expect: ^free_sized\b.*size mismatch
// free_sized of a small block with a large size.
#include "misuse.h"
#define FREE_SIZED ((void (*)(void *, size_t))sym("free_sized"))
int main(void) {
  bystanders();
  void *p = hide(malloc(100));
  MISUSE(p, FREE_SIZED(p, 3 << 20));
  return survived();
}
