// A small program stays small: one thread, well under 1 GiB of address space,
// a few MiB resident.
#include "check.h"
int main(void) {
  for (int i = 0; i < 1000; i++) CHECK(hide(malloc(100)) != NULL);
  CHECKF(proc_status("Threads:") == 1, "%ld threads", proc_status("Threads:"));
  CHECKF(proc_status("VmSize:") < 512 << 10, "VmSize is %ld KiB", proc_status("VmSize:"));
  CHECKF(proc_status("VmRSS:") < 8 << 10, "VmRSS is %ld KiB", proc_status("VmRSS:"));
  return ok();
}
