// A C program, which has no libstdc++, dlopens a C++ library privately: the
// library allocates a huge block, catches std::bad_alloc, and is closed again.
// needs: plugin.cc
#include "check.h"
int main(void) {
  CHECK(dlsym(RTLD_DEFAULT, "_ZTISt9bad_alloc") == NULL);
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/plugin.so", getenv("CTEST_DIR"));
  for (int round = 0; round < 20; round++) {
    void *h = dlopen(path, (round & 2 ? RTLD_LAZY : RTLD_NOW) | (round % 3 == 2 ? RTLD_GLOBAL : RTLD_LOCAL));
    CHECKF(h != NULL, "%s", dlerror());
    int (*huge)(void) = (int (*)(void))dlsym(h, "plugin_huge");
    int (*handler)(void) = (int (*)(void))dlsym(h, "plugin_handler");
    int (*work)(void) = (int (*)(void))dlsym(h, "plugin_work");
    CHECK(huge && handler && work);
    CHECKF(huge() == 1, "bad_alloc not caught in the library");
    CHECKF(handler() == 3, "the library's new-handler was called %d times, want 3", handler());
    CHECK(work() == 0);
    CHECK(dlclose(h) == 0);
    void *p = hide(malloc(1000));
    CHECK(p != NULL);
    free(p);
    NOMEM(malloc(num(SIZE_MAX)));
  }
  return ok();
}
