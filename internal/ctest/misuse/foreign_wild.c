// expect: ^free\b.*foreign.*(not mapped|unmapped|no mapping|nothing is mapped)
// free of a pointer outside what the processor can address.
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide((void *)(uintptr_t)0xdeadbeefdeadbee0ull);
  MISUSE(p, free(p));
  return survived();
}
