// expect: ^operator delete\b.*double free
// Sized delete twice.
#include "misuse.h"
int main() {
  bystanders();
  void *p = hide(::operator new(40));
  ::operator delete(p, (size_t)40);
  MISUSE(p, ::operator delete(p, (size_t)40));
  return survived();
}
