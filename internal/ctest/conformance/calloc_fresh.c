// calloc of objects that are alone on their span leaves pages untouched that read as zero, and clears those that do
// not, whether they were freed before or are fresh ones on pages that others have used.
// only: vcmalloc
#include "check.h"
#include <sys/resource.h>
static long faults(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_minflt;
}
enum { N = 64, SIZE = 200 << 10 };
static char *p[N];
int main(void) {
  for (int i = 0; i < N; i++) CHECK((p[i] = hide(calloc(1, 1000))) != NULL); // start-up is over
  for (int i = 0; i < N; i++) free(p[i]);
  long before = faults();
  for (int i = 0; i < N; i++) CHECK((p[i] = hide(calloc(1, SIZE))) != NULL);
  long touched = faults() - before;
  CHECKF(touched < N * 10, "%ld page faults for %d callocs of 50 pages each", touched, N);
  for (int i = 0; i < N; i++) {
    CHECK(all_zero(p[i], SIZE));
    memset(p[i], 0xa5, malloc_usable_size(p[i]));
  }
  // Objects of their own class again, then of other classes on the same pages.
  for (int i = 0; i < N; i++) free(p[i]);
  for (int size = SIZE; size > 50 << 10; size -= 30 << 10) {
    for (int i = 0; i < N; i++) {
      CHECK((p[i] = hide(calloc(1, size))) != NULL);
      CHECKF(all_zero(p[i], size), "calloc(1, %d)", size);
      memset(p[i], 0x5a, malloc_usable_size(p[i]));
    }
    for (int i = 0; i < N; i++) free(p[i]);
  }
  return ok();
}
