// A C++ program that dlopens a C++ library: exceptions, strings and objects
// cross between them and are freed on the other side.
// needs: plugin.cc
#include <new>
#include <stdexcept>
#include <string>
#include "check.h"
int main() {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/plugin.so", getenv("CTEST_DIR"));
  for (int round = 0; round < 20; round++) {
    void *h = dlopen(path, RTLD_NOW | (round & 1 ? RTLD_LOCAL : RTLD_GLOBAL));
    CHECKF(h != nullptr, "%s", dlerror());
    auto make = (std::string * (*)(int)) dlsym(h, "plugin_string");
    auto huge = (int (*)())dlsym(h, "plugin_huge");
    auto work = (int (*)())dlsym(h, "plugin_work");
    auto raise = (void (*)())dlsym(h, "plugin_throw");
    CHECK(make && huge && work && raise);
    std::string *s = make(1000 + round);
    CHECK((int)s->size() == 1000 + round);
    delete s;
    CHECK(huge() == 1 && work() == 0);
    bool caught = false;
    try {
      raise();
    } catch (const std::bad_alloc &) {
      caught = true;
    }
    CHECK(caught);
    CHECK(dlclose(h) == 0);
  }
  return ok();
}
