// expect: ^operator delete\b.*double free
// delete twice.
#include "misuse.h"
int main() {
  bystanders();
  void *p = hide(::operator new(40));
  ::operator delete(p);
  MISUSE(p, ::operator delete(p));
  return survived();
}
