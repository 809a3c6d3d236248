// expect: ^free\b.*foreign.*(/[^ ]*foreign_static|bss|data)
// free of a pointer to static data.
#include "misuse.h"
static _Alignas(64) char data[4096] = {1};
int main(void) {
  bystanders();
  char *p = (char *)hide(data + 64);
  MISUSE(p, free(p));
  return survived();
}
