// A function chosen by an IFUNC resolver that allocates and frees.
#include "check.h"
static void *resolver_block;
static int forty_two(void) { return 42; }
static int (*resolve_answer(void))(void) {
  for (size_t n = 0; n < 300000; n = n * 3 + 1) {
    char *p = (char *)hide(malloc(n));
    if (p == NULL) return NULL;
    for (size_t i = 0; i < n; i++) p[i] = 1;
    free(p);
  }
  resolver_block = hide(malloc(1000));
  for (int i = 0; i < 1000; i++) ((char *)resolver_block)[i] = (char)i;
  return forty_two;
}
int answer(void) __attribute__((ifunc("resolve_answer")));
static int ifunc_blocks(void) {
  CHECK(resolver_block != NULL);
  for (int i = 0; i < 1000; i++) CHECK(((char *)resolver_block)[i] == (char)i);
  CHECK((resolver_block = realloc(resolver_block, 100000)) != NULL);
  for (int i = 0; i < 1000; i++) CHECK(((char *)resolver_block)[i] == (char)i);
  free(resolver_block);
  return ok();
}
