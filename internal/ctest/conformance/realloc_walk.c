// Growing one block byte by byte and then by a quarter, up to 96 MiB and back
// down, keeps its contents, with other blocks in the way.
#include "check.h"
static char *p;
static size_t n;
static void to(size_t m) {
  p = (char *)hide(realloc(p, m));
  CHECKF(p != NULL, "realloc from %zu to %zu", n, m);
  size_t kept = n < m ? n : m;
  // All of a small block, the edges of a big one: whole pages move together.
  if (kept < 65536) {
    CHECKF(mismatch(p, kept, 5) == kept, "realloc from %zu to %zu lost byte %zu", n, m, mismatch(p, kept, 5));
  } else {
    for (size_t i = 0; i < kept; i += 1021) CHECKF((unsigned char)p[i] == pattern_byte(5, i), "from %zu to %zu lost byte %zu", n, m, i);
    CHECKF((unsigned char)p[kept - 1] == pattern_byte(5, kept - 1), "from %zu to %zu lost the last byte", n, m);
  }
  for (size_t i = n; i < m; i++) p[i] = (char)pattern_byte(5, i);
  n = m;
}
int main(void) {
  void *between[64];
  for (size_t m = 1; m < 9000; m++) to(m);
  for (int i = 0; i < 64; i++) {
    between[i] = malloc(n);
    if (n < (96 << 20)) to(n + n / 4);
  }
  for (int i = 0; i < 64; i++) free(between[i]);
  while (n > 9000) to(n - n / 5);
  for (; n > 1;) to(n - (n > 100 ? 37 : 1));
  free(p);
  return ok();
}
