// expect: ^operator delete\b.*foreign.*\[stack\]
// Aligned delete of a pointer to the stack.
#include "misuse.h"
int main() {
  bystanders();
  alignas(64) char local[256] = {0};
  char *p = (char *)hide(local);
  MISUSE(p, ::operator delete(p, std::align_val_t(64)));
  return survived();
}
