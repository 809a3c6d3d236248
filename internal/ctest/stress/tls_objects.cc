// thread_local C++ objects: their constructors and destructors allocate, in
// the program and in a library opened late (dynamic TLS, which the C library
// allocates with malloc on first use).
// needs: plugin.cc
#include <string>
#include <thread>
#include <vector>
#include "check.h"
static int built, destroyed;
struct Object {
  std::vector<std::string> v;
  Object() {
    for (int i = 0; i < 50; i++) v.emplace_back((size_t)i * 40, 't');
    __atomic_add_fetch(&built, 1, __ATOMIC_RELAXED);
  }
  ~Object() {
    v.resize(500, std::string(100, 'u'));
    __atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
  }
};
static thread_local Object object;
static thread_local Object second;
int main() {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/plugin.so", getenv("CTEST_DIR"));
  for (int r = 0; r < 10; r++) {
    std::vector<std::thread> t;
    void *h = nullptr;
    for (int i = 0; i < 8; i++) {
      if (i == 4) h = dlopen(path, RTLD_NOW);
      t.emplace_back([h] {
        object.v.push_back("x");
        second.v.push_back("y");
        if (h) CHECK(((int (*)())dlsym(h, "plugin_work"))() == 0);
      });
      if (i >= 4) t.back().join();
    }
    for (int i = 0; i < 4; i++) t[i].join();
    CHECK(h != nullptr && dlclose(h) == 0);
  }
  CHECKF(built == 10 * 8 * 2 && destroyed == built, "built %d, destroyed %d", built, destroyed);
  return ok();
}
