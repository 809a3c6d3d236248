// RLIMIT_AS: malloc returns NULL with ENOMEM when it is reached, everything
// allocated before stays intact, and after freeing half, memory can be had
// again.
// run: 1024 mixed
// run: 1024 mixed late
// run: 192 small
// run: 512 large
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
  size_t mib = (size_t)arg_long(argc, argv, 1, 1024);
  limited(RLIMIT_AS, mib, argc, argv);
  size_t total = exhaust_fill(argv[2], get);
  CHECKF(total > (mib << 20) / 2, "only %zu MiB of %zu could be allocated", total >> 20, mib);
  size_t again = exhaust_check(argv[2], get);
  dprintf(1, "%zu MiB of %zu, %zu MiB again\n", total >> 20, mib, again >> 20);
  return ok();
}
