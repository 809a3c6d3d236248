// expect: ^free_sized\b.*size mismatch
// free_sized of a large block with a small size.
#include "misuse.h"
#define FREE_SIZED ((void (*)(void *, size_t))sym("free_sized"))
int main(void) {
  bystanders();
  void *p = hide(malloc(3 << 20));
  MISUSE(p, FREE_SIZED(p, 100));
  return survived();
}
