// expect: ^realloc\b.*foreign.*(not mapped|unmapped|no mapping|nothing is mapped)
// realloc of a small number.
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide((void *)(uintptr_t)0x1230);
  MISUSE(p, (void)hide(realloc(p, 1000)));
  return survived();
}
