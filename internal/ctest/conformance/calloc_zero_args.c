// calloc with a zero argument returns a unique pointer, whatever the other is.
#include "check.h"
int main(void) {
  void *a = hide(calloc(0, 0)), *b = hide(calloc(0, 8)), *c = hide(calloc(8, 0)), *d = hide(calloc(0, SIZE_MAX)),
       *e = hide(calloc(SIZE_MAX, 0));
  CHECK(a && b && c && d && e);
  CHECK(a != b && a != c && a != d && a != e && b != c && b != d && b != e && c != d && c != e && d != e);
  free(a), free(b), free(c), free(d), free(e);
  return ok();
}
