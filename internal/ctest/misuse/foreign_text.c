// expect: ^free\b.*foreign.*/[^ ]*foreign_text
// free of a pointer to code.
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide((void *)(((uintptr_t)main + 16) & ~(uintptr_t)15));
  MISUSE(p, free(p));
  return survived();
}
