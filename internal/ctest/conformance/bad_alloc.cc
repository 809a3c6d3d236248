// Impossible sizes: every throwing form throws std::bad_alloc, every nothrow
// form returns nullptr; the heap works after.
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
  for (int round = 0; round < 3; round++)
    for (size_t n : big) {
      n = num(n);
      THROWS(::operator new(n));
      THROWS(::operator new[](n));
      CHECK(hide(::operator new(n, std::nothrow)) == nullptr);
      CHECK(hide(::operator new[](n, std::nothrow)) == nullptr);
    }
  size_t n = num(SIZE_MAX / 8);
  THROWS(new long[n]);      // bad_array_new_length is a bad_alloc
  n = num((size_t)1 << 57);
  THROWS(new long[n]);
  THROWS(new (std::align_val_t(64)) char[n]);
  return ok();
}
