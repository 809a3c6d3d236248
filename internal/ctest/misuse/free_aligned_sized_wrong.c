// expect: ^free_aligned_sized\b.*size mismatch
// free_aligned_sized with a wrong size.
#include "misuse.h"
#define FREE_ALIGNED_SIZED ((void (*)(void *, size_t, size_t))sym("free_aligned_sized"))
int main(void) {
  bystanders();
  void *p = hide(aligned_alloc(64, 200));
  MISUSE(p, FREE_ALIGNED_SIZED(p, 64, 20000));
  return survived();
}
