// Calls that the harness watches from gdb: at each instruction of them gdb must
// see main.
// norun: (see TestGDB)
#include "check.h"
int main(void) {
  for (int i = 0; i < 100; i++) free(hide(malloc(100)));
  void *p = hide(malloc(100));
  p = hide(realloc(p, 5000));
  free(p);
  return ok();
}
