// Plain operator new and delete, single and array, of every size; size 0 gives
// unique pointers; delete takes nullptr.
#include <new>
#include "check.h"
int main() {
  void *zero[100];
  for (int i = 0; i < 100; i++) {
    zero[i] = hide(i & 1 ? ::operator new(0) : ::operator new[](0));
    CHECK(zero[i] != nullptr);
    for (int k = 0; k < i; k++) CHECK(zero[i] != zero[k]);
  }
  for (int i = 0; i < 100; i++) i & 1 ? ::operator delete(zero[i]) : ::operator delete[](zero[i]);
  for (int i = 0; i < NSIZES; i++) {
    void *a, *b;
    KEEPS_ERRNO(a = hide(::operator new(SIZES[i])));
    KEEPS_ERRNO(b = hide(::operator new[](SIZES[i])));
    CHECK(a && b && a != b && aligned(a, SIZES[i] >= 16 ? 16 : 8) && aligned(b, SIZES[i] >= 16 ? 16 : 8));
    fill(a, SIZES[i], 1), fill(b, SIZES[i], 2);
    CHECK(malloc_usable_size(a) >= SIZES[i]);
    CHECK(mismatch(a, SIZES[i], 1) == SIZES[i] && mismatch(b, SIZES[i], 2) == SIZES[i]);
    KEEPS_ERRNO(::operator delete(a));
    KEEPS_ERRNO(::operator delete[](b));
  }
  KEEPS_ERRNO(::operator delete(nullptr));
  KEEPS_ERRNO(::operator delete[](nullptr));
  KEEPS_ERRNO(::operator delete(nullptr, std::nothrow));
  KEEPS_ERRNO(::operator delete[](nullptr, std::nothrow));
  KEEPS_ERRNO(::operator delete(nullptr, (size_t)8));
  KEEPS_ERRNO(::operator delete[](nullptr, (size_t)8));
  KEEPS_ERRNO(::operator delete(nullptr, std::align_val_t(64)));
  KEEPS_ERRNO(::operator delete[](nullptr, std::align_val_t(64)));
  KEEPS_ERRNO(::operator delete(nullptr, (size_t)8, std::align_val_t(64)));
  KEEPS_ERRNO(::operator delete[](nullptr, (size_t)8, std::align_val_t(64)));
  KEEPS_ERRNO(::operator delete(nullptr, std::align_val_t(64), std::nothrow));
  KEEPS_ERRNO(::operator delete[](nullptr, std::align_val_t(64), std::nothrow));
  return ok();
}
