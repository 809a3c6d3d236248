// expect: ^operator delete\[\].*size mismatch
// Sized array delete with a wrong size.
#include "misuse.h"
int main() {
  bystanders();
  void *p = hide(::operator new[](1000));
  MISUSE(p, ::operator delete[](p, (size_t)100));
  return survived();
}
