// expect: ^free\b.*double free
// realloc to 0 frees; free once more.
#include "misuse.h"
int main(void) {
  bystanders();
  void *p = hide(malloc(100));
  CHECK(hide(realloc(p, num(0))) == NULL);
  MISUSE(p, free(p));
  return survived();
}
