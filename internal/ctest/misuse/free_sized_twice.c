// expect: ^free_sized\b.*double free
// free_sized twice.
#include "misuse.h"
#define FREE_SIZED ((void (*)(void *, size_t))sym("free_sized"))
int main(void) {
  bystanders();
  void *p = hide(malloc(100));
  free(p);
  MISUSE(p, FREE_SIZED(p, 100));
  return survived();
}
