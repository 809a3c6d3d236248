// expect: ^free\b.*double free
// A block of 3000 bytes freed twice, at once.
#include "misuse.h"
int main(void) {
  bystanders();
  for (int i = 0; i < 40; i++) free(hide(malloc((size_t)i * 100)));
  void *p = hide(malloc(3000));
  free(p);
  MISUSE(p, free(p));
  return survived();
}
