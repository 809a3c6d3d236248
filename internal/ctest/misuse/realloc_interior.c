// expect: ^realloc\b.*interior
// realloc of a pointer into a small block.
#include "misuse.h"
int main(void) {
  bystanders();
  char *p = (char *)hide(malloc(100));
  MISUSE(p + 16, (void)hide(realloc(p + 16, 5000)));
  free(p);
  return survived();
}
