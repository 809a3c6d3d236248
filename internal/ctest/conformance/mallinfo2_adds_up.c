// mallinfo2's parts add up at every step, and mallinfo shows the same figures.
#include "check.h"
int main(void) {
  static void *p[1000];
  uint64_t seed = 11;
  for (int round = 0; round < 200; round++) {
    for (int k = 0; k < 50; k++) {
      size_t i = rnd(&seed) % 1000;
      free(p[i]);
      CHECK((p[i] = hide(malloc(rnd(&seed) % ((size_t)1 << (rnd(&seed) % 22))))) != NULL);
    }
    struct mallinfo2 m = mallinfo2();
    CHECKF(m.arena + m.hblkhd > 0 && m.uordblks > 0, "arena %zu hblkhd %zu uordblks %zu", m.arena, m.hblkhd, m.uordblks);
    (void)in_use();
    CHECK(m.keepcost <= m.fordblks && m.fsmblks <= m.fordblks);
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo s = mallinfo();
    struct mallinfo2 again = mallinfo2();
    if (again.uordblks == m.uordblks && again.fordblks == m.fordblks)
      CHECKF(s.uordblks == (int)m.uordblks && s.fordblks == (int)m.fordblks && s.arena == (int)m.arena && s.hblkhd == (int)m.hblkhd,
             "mallinfo: uordblks %d of %zu, fordblks %d of %zu, arena %d of %zu, hblkhd %d of %zu", s.uordblks, m.uordblks,
             s.fordblks, m.fordblks, s.arena, m.arena, s.hblkhd, m.hblkhd);
  }
  size_t held = 0;
  for (int i = 0; i < 1000; i++) held += p[i] ? malloc_usable_size(p[i]) : 0;
  CHECKF(in_use() >= held, "%zu bytes in use, %zu held", in_use(), held);
  return ok();
}
