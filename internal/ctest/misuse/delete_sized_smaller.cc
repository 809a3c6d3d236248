// expect: ^operator delete\b.*size mismatch
// Sized delete with the size of a smaller class.
#include "misuse.h"
int main() {
  bystanders();
  void *p = hide(::operator new(1000));
  MISUSE(p, ::operator delete(p, (size_t)100));
  return survived();
}
