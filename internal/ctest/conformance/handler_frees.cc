// A new-handler that frees memory makes the allocation succeed; one that only
// replaces itself is honoured. malloc never calls it.
#include <sys/resource.h>
#include <new>
#include "check.h"
static char *reserve;
static int calls, second;
static void replaced() {
  second++;
  free(reserve);
  reserve = nullptr;
}
static void frees() {
  calls++;
  if (calls == 2) std::set_new_handler(replaced);
}
int main() {
  reserve = (char *)hide(malloc(300 << 20));
  CHECK(reserve != nullptr);
  struct rlimit r = {(rlim_t)(proc_status("VmSize:") + (64 << 10)) << 10, RLIM_INFINITY};
  CHECK(setrlimit(RLIMIT_AS, &r) == 0);
  std::set_new_handler(frees);
  NOMEM(malloc(200 << 20));
  CHECK(calls == 0);
  char *p = (char *)hide(::operator new(200 << 20));
  CHECKF(p != nullptr && calls == 2 && second == 1, "calls %d, second %d", calls, second);
  p[0] = p[(200 << 20) - 1] = 1;
  ::operator delete(p);
  return ok();
}
