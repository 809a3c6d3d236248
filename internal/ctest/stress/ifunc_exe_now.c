// An IFUNC resolver of the executable allocates: the dynamic loader calls it
// while it relocates the program (all symbols bound at once).
// cflags: -Wl,-z,now
#include "ifunc.h"
int main(void) {
  CHECK(answer() == 42);
  return ifunc_blocks();
}
