// Allocation before main: from .preinit_array, constructors of every priority,
// of a linked library too, with the blocks intact and freed in main.
// link-lib: early.c
#include "check.h"
static void *kept[3];
int early_ok(void);
static void take(int k) {
  CHECK((kept[k] = hide(malloc(5000))) != NULL);
  fill(kept[k], 5000, (uint64_t)k);
  for (int i = 0; i < NSIZES; i++) {
    char *p = (char *)hide(calloc(1, SIZES[i]));
    CHECK(p != NULL && all_zero(p, SIZES[i]));
    p = (char *)hide(realloc(p, SIZES[i] + 100));
    CHECK(p != NULL);
    free(p);
  }
}
static void preinit(int argc, char **argv, char **envp) {
  (void)argc, (void)argv, (void)envp;
  take(0);
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(int, char **, char **) = preinit;
static __attribute__((constructor(101))) void first(void) { take(1); }
static __attribute__((constructor)) void later(void) { take(2); }
int main(void) {
  for (int k = 0; k < 3; k++) {
    CHECKF(kept[k] != NULL && mismatch(kept[k], 5000, (uint64_t)k) == 5000, "block %d", k);
    free(kept[k]);
  }
  CHECK(early_ok());
  return ok();
}
