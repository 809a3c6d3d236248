// Allocation from atexit, on_exit and quick_exit handlers and from destructor
// functions, while threads still run.
#include <pthread.h>
#include "check.h"
enum { USED = 54 }; // up to 262145 bytes
static void *kept[USED];
static void use(void) {
  for (int i = 0; i < USED; i++) {
    CHECK(mismatch(kept[i], SIZES[i], 9) == SIZES[i]);
    free(kept[i]);
    CHECK((kept[i] = hide(malloc(SIZES[i]))) != NULL);
    fill(kept[i], SIZES[i], 9);
  }
}
static void on_exit_use(int status, void *arg) {
  CHECK(status == 0 && arg == kept);
  use();
}
static __attribute__((destructor)) void last(void) {
  use();
  CHECK(malloc_trim(0) <= 1);
  for (int i = 0; i < USED; i++) free(kept[i]);
  ok();
}
static void *forever(void *arg) {
  for (;;) free(hide(malloc(1000 + (size_t)(uintptr_t)arg)));
  return NULL;
}
int main(void) {
  for (int i = 0; i < USED; i++) {
    CHECK((kept[i] = hide(malloc(SIZES[i]))) != NULL);
    fill(kept[i], SIZES[i], 9);
  }
  for (int i = 0; i < 40; i++) CHECK(atexit(use) == 0); // more than the 32 built in
  CHECK(on_exit(on_exit_use, kept) == 0);
  pthread_t t;
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&t, NULL, forever, (void *)(uintptr_t)i) == 0);
  exit(0);
}
