// expect: ^operator delete\b.*size mismatch
// Sized delete with the size of a bigger class: a derived object's size for its base.
#include "misuse.h"
int main() {
  bystanders();
  void *p = hide(::operator new(100));
  MISUSE(p, ::operator delete(p, (size_t)1000));
  return survived();
}
