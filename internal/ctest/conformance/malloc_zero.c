// malloc(0) returns a unique pointer that free takes.
#include "check.h"
int main(void) {
  void *p[1000];
  for (int i = 0; i < 1000; i++) {
    p[i] = hide(malloc(num(0)));
    CHECK(p[i] != NULL && aligned(p[i], 16));
    for (int k = 0; k < i; k++) CHECKF(p[k] != p[i], "malloc(0) gave %p twice", p[i]);
  }
  for (int i = 0; i < 1000; i++) free(p[i]);
  return ok();
}
