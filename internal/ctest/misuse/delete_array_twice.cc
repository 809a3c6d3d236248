// expect: ^operator delete\[\].*double free
// Array delete twice.
#include "misuse.h"
int main() {
  bystanders();
  void *p = hide(::operator new[](400));
  ::operator delete[](p);
  MISUSE(p, ::operator delete[](p));
  return survived();
}
