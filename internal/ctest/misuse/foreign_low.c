// expect: ^free\b.*foreign.*(not mapped|unmapped|no mapping|nothing is mapped)
// free of a small number.
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide((void *)(uintptr_t)0x1230);
  MISUSE(p, free(p));
  return survived();
}
