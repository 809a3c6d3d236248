// Scaffolding of the misuse programs: bystanders that live through the error
// and must come out whole, and the announcement of the bad pointer, which the
// harness looks for in the diagnosis.
//
// With CTEST_SANE=1 the wrong call is left out (used to check the program
// itself on any allocator).
#ifndef CTEST_MISUSE_H
#define CTEST_MISUSE_H

#include "check.h"

#if defined(__cplusplus)
#include <new>
#endif

enum { BYSTANDERS = 512 };
static void *bystander[BYSTANDERS];
static size_t bystander_size[BYSTANDERS];

// Large blocks carry the pattern at their edges only.
static void paint(void *p, size_t n, uint64_t seed) {
  if (n <= 65536) {
    fill(p, n, seed);
    return;
  }
  fill(p, 4096, seed);
  fill((char *)p + n - 4096, 4096, seed);
}
static int intact(void *p, size_t n, uint64_t seed) {
  if (n <= 65536) return mismatch(p, n, seed) == n;
  return mismatch(p, 4096, seed) == 4096 && mismatch((char *)p + n - 4096, 4096, seed) == 4096;
}

static int sane(void) { return getenv("CTEST_SANE") != NULL; }

static void bystanders(void) {
  for (int i = 0; i < BYSTANDERS; i++) {
    bystander_size[i] = i < NSIZES ? SIZES[i] : (size_t)(16 + i % 40 * 48);
    bystander[i] = malloc(bystander_size[i]);
    CHECK(bystander[i] != NULL);
    paint(bystander[i], bystander_size[i], (uint64_t)i);
  }
}

static void bystanders_intact(void) {
  for (int i = 0; i < BYSTANDERS; i++)
    CHECKF(intact(bystander[i], bystander_size[i], (uint64_t)i), "bystander %d of %zu bytes damaged", i, bystander_size[i]);
}

// MISUSE announces the pointer and makes the wrong call.
#define MISUSE(pointer, ...)                                             \
  do {                                                                   \
    dprintf(1, "bad 0x%zx\n", (size_t)(uintptr_t)(pointer));             \
    if (!sane()) {                                                       \
      __VA_ARGS__;                                                       \
    }                                                                    \
  } while (0)

// survived is reached when errors are only reported: every bystander is
// intact, and nothing the allocator hands out from now on is handed out twice.
static int survived(void) {
  bystanders_intact();
  enum { EACH = 64 };
  static void *got[NSIZES][EACH];
  for (int s = 0; s < NSIZES; s++) {
    int each = SIZES[s] > 8193 ? 2 : EACH;
    for (int k = 0; k < each; k++) {
      got[s][k] = malloc(SIZES[s]);
      CHECK(got[s][k] != NULL);
      paint(got[s][k], SIZES[s], (uint64_t)(s * 1000 + k));
    }
  }
  for (int s = 0; s < NSIZES; s++) {
    int each = SIZES[s] > 8193 ? 2 : EACH;
    for (int k = 0; k < each; k++)
      CHECKF(intact(got[s][k], SIZES[s], (uint64_t)(s * 1000 + k)), "block %p of %zu bytes handed out twice", got[s][k], SIZES[s]);
  }
  bystanders_intact();
  for (int s = 0; s < NSIZES; s++)
    for (int k = 0; k < (SIZES[s] > 8193 ? 2 : EACH); k++) free(got[s][k]);
  for (int i = 0; i < BYSTANDERS; i++) free(bystander[i]);
  return ok();
}

#endif
