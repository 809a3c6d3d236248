// expect: ^operator delete\b.*size mismatch
// An object deleted through a pointer to a smaller type without virtual destructor.
#include "misuse.h"
struct Small {
  char c[16];
};
struct Big : Small {
  char more[2000];
};
int main() {
  bystanders();
  Big *p = (Big *)hide(new Big);
  Small *s = p;
  MISUSE(p, delete s);
  return survived();
}
