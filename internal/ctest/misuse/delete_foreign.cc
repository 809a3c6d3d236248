// expect: ^operator delete\b.*foreign.*\[stack\]
// delete of a pointer to the stack.
#include "misuse.h"
int main() {
  bystanders();
  char local[256] = {0};
  char *p = (char *)hide(local);
  MISUSE(p, ::operator delete(p));
  return survived();
}
