// Aligned new of an alignment that is no power of two never gives memory: the
// throwing form throws std::bad_alloc, the nothrow form returns nullptr.
#include <new>
#include "check.h"
int main() {
  static const size_t bad[] = {0, 3, 24, 100, 4097, SIZE_MAX};
  for (size_t a : bad) {
    CHECKF(hide(::operator new(100, std::align_val_t(num(a)), std::nothrow)) == nullptr, "alignment %zu", a);
    bool caught = false;
    try {
      hide(::operator new(100, std::align_val_t(num(a))));
    } catch (const std::bad_alloc &) {
      caught = true;
    }
    CHECKF(caught, "alignment %zu", a);
  }
  return ok();
}
