// expect: ^realloc\b.*foreign.*\[stack\]
// realloc of a pointer to the stack.
#include "misuse.h"
int main(void) {
  bystanders();
  _Alignas(64) char local[256] = {0};
  char *p = (char *)hide(local + 64);
  MISUSE(p, (void)hide(realloc(p, 1000)));
  return survived();
}
