// expect: ^operator delete\b.*size mismatch
// Sized delete of a large block with a small size.
#include "misuse.h"
int main() {
  bystanders();
  void *p = hide(::operator new(3 << 20));
  MISUSE(p, ::operator delete(p, (size_t)100));
  return survived();
}
