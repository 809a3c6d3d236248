// Exhausting memory: allocate until the allocator gives up, find everything
// intact, free half, go on.
#ifndef CTEST_EXHAUST_H
#define CTEST_EXHAUST_H
#include <sys/resource.h>
#include "check.h"
enum { EXHAUST_MAX = 8 << 20 };
static void *exhaust_p[EXHAUST_MAX];
static inline size_t exhaust_n;

static inline size_t exhaust_size(const char *mix, size_t i) {
  static const size_t mixed[] = {100, 10000, 24, 1 << 20, 1000, 100000, 4096, 300000};
  if (!strcmp(mix, "small")) return 64 + i % 5 * 100;
  if (!strcmp(mix, "large")) return (size_t)(5 << 20) + i % 7 * 4096;
  return mixed[i % 8];
}
// exhaust_half picks half of the blocks, of every size in the mix.
static inline int exhaust_half(size_t i) { return ((i >> 3) ^ i) & 1; }
static inline size_t edge(size_t n) { return n < 64 ? n : 64; }
static void exhaust_paint(size_t i, size_t n) {
  fill(exhaust_p[i], edge(n), i);
  fill((char *)exhaust_p[i] + n - edge(n), edge(n), i);
}
static void exhaust_inspect(size_t i, size_t n) {
  CHECKF(n < 128 || mismatch(exhaust_p[i], edge(n), i) == edge(n), "block %zu of %zu bytes: its start is damaged", i, n);
  CHECKF(mismatch((char *)exhaust_p[i] + n - edge(n), edge(n), i) == edge(n), "block %zu of %zu bytes: its end is damaged", i, n);
}
// exhaust_fill allocates by get until it returns NULL; returns the bytes got.
static inline size_t exhaust_fill(const char *mix, void *(*get)(size_t)) {
  size_t total = 0;
  for (exhaust_n = 0; exhaust_n < EXHAUST_MAX; exhaust_n++) {
    size_t n = exhaust_size(mix, exhaust_n);
    if ((exhaust_p[exhaust_n] = get(n)) == NULL) return total;
    exhaust_paint(exhaust_n, n);
    total += n;
  }
  CHECKF(0, "%d blocks and no end: the limit does not bite", (int)EXHAUST_MAX);
  return total;
}
// exhaust_check does the rest; returns the bytes got back by allocating again.
static inline size_t exhaust_check(const char *mix, void *(*get)(size_t)) {
  size_t freed = 0, again = 0;
  for (size_t i = 0; i < exhaust_n; i++) exhaust_inspect(i, exhaust_size(mix, i));
  // A realloc that fails leaves its block alone.
  if (exhaust_n > 8) {
    errno = 0;
    void *p = hide(realloc(exhaust_p[7], num((size_t)1 << 40)));
    CHECK(p == NULL && errno == ENOMEM);
    exhaust_inspect(7, exhaust_size(mix, 7));
  }
  for (size_t i = 0; i < exhaust_n; i++) {
    if (!exhaust_half(i)) continue;
    freed += exhaust_size(mix, i);
    KEEPS_ERRNO(free(exhaust_p[i]));
    exhaust_p[i] = NULL;
  }
  for (size_t i = 0; i < exhaust_n; i++) {
    if (exhaust_p[i]) continue;
    size_t n = exhaust_size(mix, i);
    if ((exhaust_p[i] = get(n)) == NULL) continue;
    exhaust_paint(i, n);
    again += n;
  }
  CHECKF(again >= freed / 2, "%zu bytes freed, only %zu of them could be had again", freed, again);
  for (size_t i = 0; i < exhaust_n; i++)
    if (exhaust_p[i]) exhaust_inspect(i, exhaust_size(mix, i));
  for (size_t i = 0; i < exhaust_n; i++) free(exhaust_p[i]);
  return again;
}
// limited sets the limit and starts the program anew, so that it holds from
// the first instruction on; "late" as third argument sets it in main only.
static inline void limited(int resource, size_t mib, int argc, char **argv) {
  struct rlimit r = {(rlim_t)mib << 20, (rlim_t)mib << 20};
  CHECK(setrlimit(resource, &r) == 0);
  if (getenv("CTEST_LIMITED") || (argc > 3 && !strcmp(argv[3], "late"))) return;
  setenv("CTEST_LIMITED", "1", 1);
  execv("/proc/self/exe", argv);
  CHECK(!"execv");
}
#endif
