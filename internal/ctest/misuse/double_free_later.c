// expect: ^free\b.*double free
// A small block freed again after many frees and allocations of other sizes.
#include "misuse.h"
int main(void) {
  bystanders();
  static void *other[5000];
  void *p = hide(malloc(48));
  for (int i = 0; i < 5000; i++) other[i] = hide(malloc(100 + (size_t)(i % 50) * 100));
  free(p);
  for (int i = 0; i < 5000; i++) free(other[i]);
  for (int i = 0; i < 2500; i++) other[i] = hide(malloc(200 + (size_t)(i % 60) * 90));
  MISUSE(p, free(p));
  for (int i = 0; i < 2500; i++) free(other[i]);
  return survived();
}
