// expect: ^free\b.*double free
// A small block freed again after several others of its own size were freed.
#include "misuse.h"
int main(void) {
  bystanders();
  void *p[8];
  for (int i = 0; i < 8; i++) p[i] = hide(malloc(48));
  for (int i = 0; i < 8; i++) free(p[i]);
  MISUSE(p[2], free(p[2]));
  return survived();
}
