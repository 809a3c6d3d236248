// Over-aligned types through new expressions, single and array, deleted with
// size and alignment by the compiler.
#include "check.h"
template <size_t A> struct alignas(A) Over {
  char c[A * 3 / 2];
  Over() { memset(c, 7, sizeof c); }
  ~Over() { CHECK(c[0] == 7 && c[sizeof c - 1] == 7); }
};
template <size_t A> void use() {
  for (int i = 0; i < 20; i++) {
    Over<A> *p = (Over<A> *)hide(new Over<A>), *q = (Over<A> *)hide(new Over<A>[5]);
    CHECK(aligned(p, A) && aligned(q, A));
    delete p;
    delete[] q;
  }
}
int main() {
  use<8>(), use<16>(), use<32>(), use<64>(), use<128>(), use<512>(), use<4096>(), use<8192>(), use<65536>();
  return ok();
}
