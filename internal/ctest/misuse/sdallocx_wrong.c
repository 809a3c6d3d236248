// expect: ^sdallocx\b.*size mismatch
// sdallocx with a wrong size.
#include "misuse.h"
#define SDALLOCX ((void (*)(void *, size_t, int))sym("sdallocx"))
int main(void) {
  bystanders();
  void *p = hide(malloc(200));
  MISUSE(p, SDALLOCX(p, 20000, 0));
  return survived();
}
