// expect: ^realloc\b.*interior
// realloc of a pointer into a large block.
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide(malloc(4 << 20));
  MISUSE(p + 4096, (void)hide(realloc(p + 4096, 5000)));
  free(p);
  return survived();
}
