// A library whose constructors and destructors allocate.
#include "check.h"
static char *kept;
static __attribute__((constructor(101))) void start(void) {
  CHECK((kept = (char *)hide(malloc(70000))) != NULL);
  fill(kept, 70000, 1);
  for (int i = 0; i < NSIZES; i++) free(hide(malloc(SIZES[i])));
}
static __attribute__((destructor)) void end(void) {
  CHECK(mismatch(kept, 70000, 1) == 70000);
  free(kept);
  free(hide(calloc(3, 1000)));
}
int early_ok(void);
int early_ok(void) { return kept != NULL && mismatch(kept, 70000, 1) == 70000; }
