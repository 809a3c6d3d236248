// malloc_usable_size(NULL) is 0, errno untouched.
#include "check.h"
int main(void) {
  KEEPS_ERRNO(CHECK(malloc_usable_size(hide(NULL)) == 0));
  return ok();
}
