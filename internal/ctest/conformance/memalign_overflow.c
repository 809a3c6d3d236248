// memalign, aligned_alloc, valloc and pvalloc fail with ENOMEM where size plus
// alignment, or the rounding up, overflows.
#include "check.h"
int main(void) {
  for (size_t a = 1; a <= (size_t)1 << 62; a *= 2) {
    NOMEM(memalign(num(a), num(SIZE_MAX)));
    NOMEM(memalign(num(a), num(SIZE_MAX - a)));
    NOMEM(memalign(num(a), num(SIZE_MAX - a + 1)));
    NOMEM(memalign(num(a), num(PTRDIFF_MAX)));
    NOMEM(aligned_alloc(num(a), num(SIZE_MAX)));
    NOMEM(aligned_alloc(num(a), num(SIZE_MAX - a + 1)));
    NOMEM(aligned_alloc(num(a), num(PTRDIFF_MAX)));
  }
  NOMEM(memalign(num((size_t)1 << 62), 1));
  NOMEM(valloc(num(SIZE_MAX)));
  NOMEM(valloc(num(SIZE_MAX - 4095)));
  NOMEM(valloc(num(PTRDIFF_MAX)));
  NOMEM(pvalloc(num(SIZE_MAX)));
  NOMEM(pvalloc(num(SIZE_MAX - 4094)));
  NOMEM(pvalloc(num(SIZE_MAX - 4095)));
  NOMEM(pvalloc(num(SIZE_MAX - 8190)));
  NOMEM(pvalloc(num(PTRDIFF_MAX)));
  return ok();
}
