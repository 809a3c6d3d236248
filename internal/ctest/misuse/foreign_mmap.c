// expect: ^free\b.*foreign.*(anon|mapp)
// free of a pointer the program mapped itself.
#include "misuse.h"
#include <sys/mman.h>
int main(void) {
  bystanders();
  char *p = (char *)mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  MISUSE(p, free(p));
  return survived();
}
