// An IFUNC resolver of the executable allocates: the dynamic loader calls it
// while it relocates the program (symbols bound lazily).
// cflags: -Wl,-z,lazy
#include "ifunc.h"
int main(void) {
  CHECK(answer() == 42);
  return ifunc_blocks();
}
