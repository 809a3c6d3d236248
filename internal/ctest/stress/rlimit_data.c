// RLIMIT_DATA, which counts brk and private writable mappings: as RLIMIT_AS.
// run: 256 mixed
// run: 256 mixed late
// run: 128 small
// run: 256 large
// timeout: 120s
#include "exhaust.h"
static void *get(size_t n) {
  errno = 0;
  void *p = hide(malloc(n));
  CHECK(p != NULL || errno == ENOMEM);
  return p;
}
int main(int argc, char **argv) {
  CHECK(argc > 2);
  size_t mib = (size_t)arg_long(argc, argv, 1, 256);
  limited(RLIMIT_DATA, mib, argc, argv);
  size_t total = exhaust_fill(argv[2], get);
  CHECKF(total > (mib << 20) / 3, "only %zu MiB of %zu could be allocated", total >> 20, mib);
  size_t again = exhaust_check(argv[2], get);
  dprintf(1, "%zu MiB of %zu, %zu MiB again\n", total >> 20, mib, again >> 20);
  return ok();
}
