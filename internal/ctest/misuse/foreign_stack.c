// expect: ^free\b.*foreign.*\[stack\]
// free of a pointer to the stack.
#include "misuse.h"
int main(void) {
  bystanders();
  _Alignas(64) char local[256] = {0};
  char *p = (char *)hide(local + 64);
  MISUSE(p, free(p));
  return survived();
}
