// malloc_stats prints to stderr, nothing to stdout, with figures that cover
// what the program holds.
#include "check.h"
#include <ctype.h>
int main(void) {
  enum { N = 300000 };
  static void *p[N];
  static char text[1 << 20];
  for (int i = 0; i < N; i++) CHECK((p[i] = hide(malloc(100))) != NULL);
  char err[] = "/tmp/ctest-XXXXXX", out[] = "/tmp/ctest-XXXXXX";
  int e = mkstemp(err), o = mkstemp(out), saved1 = dup(1), saved2 = dup(2);
  CHECK(e >= 0 && o >= 0);
  unlink(err), unlink(out);
  dup2(o, 1), dup2(e, 2);
  malloc_stats();
  fflush(stdout), fflush(stderr);
  dup2(saved1, 1), dup2(saved2, 2);
  CHECK(lseek(o, 0, SEEK_END) == 0);
  ssize_t n = pread(e, text, sizeof text - 1, 0);
  CHECKF(n > 20, "%zd bytes on stderr", n);
  size_t largest = 0;
  for (char *s = text; *s;) {
    if (!isdigit((unsigned char)*s)) {
      s++;
      continue;
    }
    size_t v = strtoull(s, &s, 10);
    if (v > largest) largest = v;
  }
  CHECKF(largest >= (size_t)N * 100, "no figure covers the %d bytes held; the largest is %zu", N * 100, largest);
  for (int i = 0; i < N; i++) free(p[i]);
  return ok();
}
