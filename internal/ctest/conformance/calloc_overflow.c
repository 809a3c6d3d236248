// calloc whose product overflows, or is impossible, is NULL with ENOMEM.
#include "check.h"
int main(void) {
  NOMEM(calloc(num(SIZE_MAX), num(SIZE_MAX)));
  NOMEM(calloc(num(SIZE_MAX), 2));
  NOMEM(calloc(2, num(SIZE_MAX)));
  NOMEM(calloc(num(SIZE_MAX / 2 + 1), 2));
  NOMEM(calloc(num((size_t)1 << 32), num((size_t)1 << 32)));
  NOMEM(calloc(num(((size_t)1 << 32) + 1), num((size_t)1 << 32)));
  NOMEM(calloc(num(SIZE_MAX / 16 + 2), 16));
  NOMEM(calloc(1, num(SIZE_MAX)));
  NOMEM(calloc(num(PTRDIFF_MAX), 1));
  NOMEM(calloc(num(PTRDIFF_MAX), 2));
  return ok();
}
