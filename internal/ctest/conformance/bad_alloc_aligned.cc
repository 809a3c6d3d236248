// only: vcmalloc
// Impossible sizes with an alignment: bad_alloc, or nullptr from nothrow forms
// (libstdc++'s own overflows in rounding the size up and returns a tiny block).
#include <new>
#include "check.h"
template <class F> void throws(int line, F f) {
  bool caught = false;
  try {
    void *p = hide(f());
    CHECKF(false, "line %d: got %p", line, p);
  } catch (const std::bad_alloc &e) {
    caught = true;
    CHECK(e.what() != nullptr && strlen(e.what()) > 0);
  } catch (...) {
    CHECKF(false, "line %d: threw something else", line);
  }
  CHECKF(caught, "line %d", line);
  char *p = new char[100];
  memset(hide(p), 1, 100);
  delete[] p;
}
#define THROWS(...) throws(__LINE__, [&] { return (void *)(__VA_ARGS__); })
int main() {
  static const size_t big[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4095, SIZE_MAX - (2 << 20), SIZE_MAX / 2 + 1, PTRDIFF_MAX, (size_t)1 << 60};
  for (size_t n : big) {
    n = num(n);
    for (size_t a = 1; a <= (size_t)1 << 30; a *= 8) {
      std::align_val_t al = std::align_val_t(a);
      THROWS(::operator new(n, al));
      THROWS(::operator new[](n, al));
      CHECK(hide(::operator new(n, al, std::nothrow)) == nullptr);
      CHECK(hide(::operator new[](n, al, std::nothrow)) == nullptr);
    }
  }
  return ok();
}
