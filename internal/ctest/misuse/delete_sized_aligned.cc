// expect: ^operator delete\b.*size mismatch
// Sized aligned delete with a wrong size.
#include "misuse.h"
int main() {
  bystanders();
  void *p = hide(::operator new(200, std::align_val_t(64)));
  MISUSE(p, ::operator delete(p, (size_t)20000, std::align_val_t(64)));
  return survived();
}
