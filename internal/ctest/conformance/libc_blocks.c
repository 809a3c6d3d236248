// Blocks the C library allocates for the program are this allocator's:
// free, realloc and malloc_usable_size take them.
#include "check.h"
#include <dirent.h>
#include <wchar.h>
static void mine(void *p, size_t n) {
  CHECK(p != NULL && malloc_usable_size(p) >= n);
  p = realloc(p, n * 3 + 1);
  CHECK(p != NULL);
  free(p);
}
int main(void) {
  mine(strdup("hello, world"), 13);
  mine(strndup("hello, world", 5), 6);
  mine(wcsdup(L"hello"), 6 * sizeof(wchar_t));
  char *s = NULL;
  CHECK(asprintf(&s, "%01000d", 7) == 1000);
  mine(s, 1001);
  mine(getcwd(NULL, 0), 2);
  mine(realpath("/proc/self/exe", NULL), 2);
  size_t n = 0;
  s = NULL;
  FILE *f = fopen("/proc/self/maps", "r");
  CHECK(f != NULL);
  while (getline(&s, &n, f) > 0) CHECK(malloc_usable_size(s) >= n);
  mine(s, n);
  fclose(f);
  char *mem = NULL;
  size_t len = 0;
  f = open_memstream(&mem, &len);
  for (int i = 0; i < 100000; i++) fputc('x', f);
  fclose(f);
  CHECK(len == 100000);
  mine(mem, len);
  struct dirent **list = NULL;
  int k = scandir("/", &list, NULL, alphasort);
  CHECK(k > 2);
  for (int i = 0; i < k; i++) free(list[i]);
  free(list);
  CHECK(setenv("CTEST_LIBC_BLOCKS", "1", 1) == 0 && unsetenv("CTEST_LIBC_BLOCKS") == 0);
  // getline extends a block of the program's own.
  s = (char *)malloc(1), n = 1;
  f = fopen("/proc/self/status", "r");
  while (getline(&s, &n, f) > 0) {
  }
  fclose(f);
  free(s);
  return ok();
}
