// expect: ^operator delete\b.*interior
// delete of a pointer 8 bytes into a block: what delete for delete[] does to a counted array.
#include "misuse.h"
int main() {
  bystanders();
  char *p = (char *)hide(::operator new(800));
  MISUSE(p + 8, ::operator delete(p + 8));
  ::operator delete(p);
  return survived();
}
