// expect: ^free\b.*foreign.*\[stack\]
// free of an odd pointer to the stack.
#include "misuse.h"
int main(void) {
  bystanders();
  char local[256] = {0};
  char *p = (char *)hide((void *)((uintptr_t)local | 1));
  MISUSE(p, free(p));
  return survived();
}
