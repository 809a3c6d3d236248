// An IFUNC resolver of a linked library allocates. The loader may
// relocate that library (or the program, see ifunc_exe) before a preloaded one,
// and so call the allocator before the allocator's own relocations are done.
// link-lib: ifunc_lib.c
#include "check.h"
int library_answer(void);
int library_blocks(void);
int main(void) {
  CHECK(library_answer() == 42);
  return library_blocks();
}
