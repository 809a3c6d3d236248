// expect: ^free\b.*double free
// A small block freed again after 20000 others of its own size: it has left the front cache.
#include "misuse.h"
int main(void) {
  bystanders();
  enum { N = 20000 };
  static void *p[N];
  for (int i = 0; i < N; i++) p[i] = hide(malloc(64));
  for (int i = 0; i < N; i++) free(p[i]);
  MISUSE(p[100], free(p[100]));
  return survived();
}
