// Sized delete, single and array, and the compiler's own use of it.
#include <new>
#include "check.h"
struct Base {
  virtual ~Base() {}
  long a[3];
};
struct Derived : Base {
  char more[5000];
};
int main() {
  size_t before = in_use();
  for (int round = 0; round < 10; round++)
    for (int i = 0; i < NSIZES; i++) {
      void *a = hide(::operator new(SIZES[i])), *b = hide(::operator new[](SIZES[i]));
      KEEPS_ERRNO(::operator delete(a, SIZES[i]));
      KEEPS_ERRNO(::operator delete[](b, SIZES[i]));
    }
  for (int i = 0; i < 1000; i++) {
    Base *d = (Base *)hide(new Derived);
    delete d;
    Derived *many = (Derived *)hide(new Derived[i % 50]);
    delete[] many;
  }
  CHECK(in_use() < before + (1 << 20));
  return ok();
}
