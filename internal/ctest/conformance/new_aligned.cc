// Aligned new and delete, all eight forms, every alignment from 1 to 1 GiB.
#include <new>
#include "check.h"
int main() {
  static const size_t sizes[] = {0, 1, 24, 100, 4096, 300000, 2097153};
  for (size_t a = 1; a <= (size_t)1 << 30; a *= 2)
    for (size_t n : sizes) {
      std::align_val_t al = std::align_val_t(a);
      void *p[6] = {::operator new(n, al),
                    ::operator new[](n, al),
                    ::operator new(n, al, std::nothrow),
                    ::operator new[](n, al, std::nothrow),
                    ::operator new(n, al),
                    ::operator new[](n, al)};
      for (int k = 0; k < 6; k++) {
        CHECKF(hide(p[k]) != nullptr && aligned(p[k], a), "new(%zu, align %zu) = %p", n, a, p[k]);
        fill(p[k], n, k);
      }
      for (int k = 0; k < 6; k++) CHECK(mismatch(p[k], n, k) == n);
      ::operator delete(p[0], al);
      ::operator delete[](p[1], al);
      ::operator delete(p[2], al, std::nothrow);
      ::operator delete[](p[3], al, std::nothrow);
      ::operator delete(p[4], n, al);
      ::operator delete[](p[5], n, al);
    }
  return ok();
}
