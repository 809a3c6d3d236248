// Nothrow forms, and what they allocate freed by every matching delete.
#include <new>
#include "check.h"
int main() {
  for (int i = 0; i < NSIZES; i++) {
    void *a = hide(::operator new(SIZES[i], std::nothrow)), *b = hide(::operator new[](SIZES[i], std::nothrow));
    CHECK(a && b);
    memset(a, 1, SIZES[i]), memset(b, 1, SIZES[i]);
    ::operator delete(a, std::nothrow), ::operator delete[](b, std::nothrow);
    a = hide(::operator new(SIZES[i], std::nothrow)), b = hide(::operator new[](SIZES[i], std::nothrow));
    ::operator delete(a), ::operator delete[](b);
    a = hide(::operator new(SIZES[i], std::nothrow)), b = hide(::operator new[](SIZES[i], std::nothrow));
    ::operator delete(a, SIZES[i]), ::operator delete[](b, SIZES[i]);
  }
  return ok();
}
