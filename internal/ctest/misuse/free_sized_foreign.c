// expect: ^free_sized\b.*foreign.*\[stack\]
// free_sized of a pointer to the stack.
#include "misuse.h"
#define FREE_SIZED ((void (*)(void *, size_t))sym("free_sized"))
int main(void) {
  bystanders();
  char local[256] = {0};
  char *p = (char *)hide(local);
  MISUSE(p, FREE_SIZED(p, 100));
  return survived();
}
