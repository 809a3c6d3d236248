// A program's own operator new and delete win over the preloaded ones, and the
// default forms it did not replace (array, nothrow, sized) forward to them, as
// the standard has it: a block with the program's header must never reach free
// without it.
#include <new>
#include "check.h"
static int news, deletes;
void *operator new(size_t n) {
  news++;
  char *p = (char *)malloc(n + 16);
  if (p == nullptr) throw std::bad_alloc();
  memcpy(p, "header of mine!", 16);
  return p + 16;
}
void operator delete(void *p) noexcept {
  if (p == nullptr) return;
  deletes++;
  CHECK(memcmp((char *)p - 16, "header of mine!", 16) == 0);
  free((char *)p - 16);
}
struct Sized {
  char c[100];
};
int main() {
  for (int i = 0; i < NSIZES; i++) {
    news = deletes = 0;
    ::operator delete(hide(::operator new(SIZES[i])));
    ::operator delete(hide(::operator new(SIZES[i])), SIZES[i]);
    ::operator delete(hide(::operator new(SIZES[i])), std::nothrow);
    CHECKF(news == 3 && deletes == 3, "plain: %d news, %d deletes", news, deletes);
    ::operator delete[](hide(::operator new[](SIZES[i])));
    ::operator delete[](hide(::operator new[](SIZES[i])), SIZES[i]);
    ::operator delete[](hide(::operator new[](SIZES[i])), std::nothrow);
    CHECKF(news == 6 && deletes == 6, "array: %d news, %d deletes", news, deletes);
    ::operator delete(hide(::operator new(SIZES[i], std::nothrow)));
    ::operator delete[](hide(::operator new[](SIZES[i], std::nothrow)));
    CHECKF(news == 8 && deletes == 8, "nothrow: %d news, %d deletes", news, deletes);
  }
  delete (Sized *)hide(new Sized);
  delete[] (Sized *)hide(new Sized[3]);
  return ok();
}
