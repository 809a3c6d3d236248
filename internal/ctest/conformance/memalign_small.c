// Small aligned blocks don't overlap, and stay aligned when many are live.
#include "check.h"
int main(void) {
  enum { N = 200 };
  for (size_t a = 1; a <= 65536; a *= 2) {
    char *p[N];
    for (int i = 0; i < N; i++) {
      size_t n = (size_t)i * 7;
      p[i] = (char *)hide(memalign(a, n));
      CHECKF(p[i] != NULL && aligned(p[i], a), "memalign(%zu, %zu) = %p", a, n, p[i]);
      CHECK(malloc_usable_size(p[i]) >= n);
      fill(p[i], malloc_usable_size(p[i]), (uint64_t)i);
    }
    for (int i = 0; i < N; i++) {
      size_t u = malloc_usable_size(p[i]);
      CHECKF(mismatch(p[i], u, (uint64_t)i) == u, "memalign(%zu, %d) overlaps", a, i * 7);
    }
    for (int i = 0; i < N; i++) free(p[i]);
  }
  return ok();
}
