// expect: ^realloc\b.*(double free|freed|free block)
// realloc of a block that was freed.
#include "misuse.h"
int main(void) {
  bystanders();
  void *p = hide(malloc(100));
  free(p);
  MISUSE(p, p = realloc(p, 200000));
  (void)hide(p);
  return survived();
}
