// Freed memory is used again: allocating and freeing 64 GiB in turns, of every
// size, grows the process by little.
#include "check.h"
int main(void) {
  for (int i = 0; i < NSIZES; i++) free(hide(malloc(SIZES[i])));
  long before = proc_status("VmSize:");
  for (int i = 0; i < NSIZES; i++)
    for (size_t total = 0, k = 0; total < ((size_t)1 << 30) && k < 20000; total += SIZES[i], k++) {
      char *p = (char *)hide(malloc(SIZES[i]));
      CHECK(p != NULL);
      free(p);
    }
  long grown = proc_status("VmSize:") - before;
  CHECKF(grown < 256 << 10, "address space grew by %ld KiB", grown);
  return ok();
}
