// Allocation keeps the floating point environment: rounding mode, exception
// flags and MXCSR.
// link: -lm
#include <fenv.h>
#include <xmmintrin.h>
#include "check.h"
int main(void) {
  fesetround(FE_UPWARD);
  feclearexcept(FE_ALL_EXCEPT);
  unsigned before = _mm_getcsr();
  for (int i = 0; i < NSIZES; i++) {
    void *p = hide(malloc(SIZES[i]));
    p = hide(realloc(p, SIZES[i] * 3 + 1));
    free(p);
    free(hide(calloc(2, SIZES[i])));
  }
  CHECKF(_mm_getcsr() == before, "MXCSR was %#x, is %#x", before, _mm_getcsr());
  CHECK(fegetround() == FE_UPWARD && fetestexcept(FE_ALL_EXCEPT) == 0);
  return ok();
}
