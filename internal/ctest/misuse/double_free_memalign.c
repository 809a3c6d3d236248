// expect: ^free\b.*double free
// An aligned block freed twice.
#include "misuse.h"
int main(void) {
  bystanders();
  void *p = hide(memalign(1024, 1500));
  free(p);
  MISUSE(p, free(p));
  return survived();
}
