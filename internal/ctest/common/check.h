// Shared by every program under internal/ctest: a check that names its file
// and line, values the compiler can't see through, patterns, and /proc reads.
// Nothing here allocates.
#ifndef CTEST_CHECK_H
#define CTEST_CHECK_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// CHECKF ends the process with file:line, the condition and a message.
#define CHECKF(cond, ...)                                                                  \
  do {                                                                                     \
    if (!(cond)) {                                                                         \
      int check_errno_ = errno;                                                            \
      char check_buf_[512];                                                                \
      int check_len_ = snprintf(check_buf_, sizeof check_buf_, __VA_ARGS__);               \
      dprintf(2, "%s:%d: check failed: %s%s%.*s (errno %d)\n", __FILE__, __LINE__, #cond,  \
              check_len_ > 0 ? ": " : "", check_len_, check_buf_, check_errno_);           \
      _exit(1);                                                                            \
    }                                                                                      \
  } while (0)
#define CHECK(cond) CHECKF(cond, "%s", "")

// A value of errno that no call sets.
enum { SENTINEL = 4711 };

// KEEPS_ERRNO runs a statement that must leave errno alone.
#define KEEPS_ERRNO(...)                                                         \
  do {                                                                           \
    errno = SENTINEL;                                                            \
    __VA_ARGS__;                                                                 \
    CHECKF(errno == SENTINEL, "%s must not touch errno", #__VA_ARGS__);          \
  } while (0)

// FAILS_WITH evaluates an allocation that must be NULL with this errno.
#define FAILS_WITH(err, ...)                                                                \
  do {                                                                                      \
    errno = 0;                                                                              \
    void *fails_ = hide((void *)(__VA_ARGS__));                                             \
    CHECKF(fails_ == NULL, "%s gave %p", #__VA_ARGS__, fails_);                             \
    CHECKF(errno == (err), "%s set errno to %d, want %d", #__VA_ARGS__, errno, (int)(err)); \
  } while (0)
#define NOMEM(...) FAILS_WITH(ENOMEM, __VA_ARGS__)

// hide and num return their argument through an opaque asm, so that the
// compiler can neither fold a comparison nor drop an allocation.
static inline __attribute__((unused)) void *hide(void *p) {
  __asm__ volatile("" : "+r"(p) : : "memory");
  return p;
}
static inline __attribute__((unused)) size_t num(size_t n) {
  __asm__ volatile("" : "+r"(n) : : "memory");
  return n;
}

static inline __attribute__((unused)) int aligned(const void *p, size_t a) {
  return ((uintptr_t)p & (a - 1)) == 0;
}

// rnd is splitmix64: a whole 64-bit state, any seed.
static inline __attribute__((unused)) uint64_t rnd(uint64_t *s) {
  uint64_t z = (*s += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

static inline __attribute__((unused)) unsigned char pattern_byte(uint64_t seed, size_t i) {
  return (unsigned char)((seed ^ (i >> 3) * 0x9e3779b97f4a7c15ull) >> (8 * (i & 7)));
}
static __attribute__((unused)) void fill(void *p, size_t n, uint64_t seed) {
  for (size_t i = 0; i < n; i++) ((unsigned char *)p)[i] = pattern_byte(seed, i);
}
// mismatch returns the first offset that lost its pattern, or n.
static __attribute__((unused)) size_t mismatch(const void *p, size_t n, uint64_t seed) {
  for (size_t i = 0; i < n; i++)
    if (((const unsigned char *)p)[i] != pattern_byte(seed, i)) return i;
  return n;
}
static __attribute__((unused)) int all_zero(const void *p, size_t n) {
  const unsigned char *b = (const unsigned char *)p;
  for (size_t i = 0; i < n; i++)
    if (b[i]) return 0;
  return 1;
}

// A spread of sizes around the places where allocators change their mind:
// words, cache lines, pages of 4 and 8 KiB, spans, 256 KiB, hugepages.
static const __attribute__((unused)) size_t SIZES[] = {
    0,       1,       7,       8,       9,       15,      16,      17,      24,      31,      32,
    33,      63,      64,      65,      100,     127,     128,     129,     255,     256,     257,
    511,     512,     513,     1000,    1023,    1024,    1025,    2047,    2048,    2049,    4095,
    4096,    4097,    8191,    8192,    8193,    16384,   16385,   20000,   32767,   32768,   32769,
    65535,   65536,   65537,   131071,  131072,  131073,  200000,  262143,  262144,  262145,  270336,
    524288,  524289,  1048575, 1048576, 1048577, 2097151, 2097152, 2097153, 3145728, 4194304, 4194305,
    8388608, 8388609};
enum { NSIZES = sizeof SIZES / sizeof SIZES[0] };

// expecting tells whether the harness preloaded vcmalloc itself.
static inline __attribute__((unused)) int expecting(void) { return getenv("CTEST_EXPECT") != NULL; }

// sym finds a symbol by name where headers or the C library may lack it.
static __attribute__((unused)) void *sym(const char *name) {
  void *f = dlsym(RTLD_DEFAULT, name);
  CHECKF(f != NULL, "symbol %s not found", name);
  return f;
}

// in_use is the bytes the application holds. Two readings of mallinfo(3) are
// in use: glibc counts mapped blocks in hblkhd only (arena = uordblks +
// fordblks), others in uordblks too (arena + hblkhd = uordblks + fordblks).
static __attribute__((unused)) size_t in_use(void) {
  struct mallinfo2 m = mallinfo2();
  if (m.uordblks + m.fordblks == m.arena) return m.uordblks + m.hblkhd;
  CHECKF(m.uordblks + m.fordblks == m.arena + m.hblkhd,
         "mallinfo2 does not add up: arena %zu hblkhd %zu uordblks %zu fordblks %zu", m.arena,
         m.hblkhd, m.uordblks, m.fordblks);
  return m.uordblks;
}

// proc_status reads a field of /proc/self/status ("VmRSS:" in KiB, "Threads:").
static __attribute__((unused)) long proc_status(const char *field) {
  static char buf[8192];
  int fd = open("/proc/self/status", O_RDONLY);
  CHECK(fd >= 0);
  ssize_t n = read(fd, buf, sizeof buf - 1);
  close(fd);
  CHECK(n > 0);
  buf[n] = 0;
  char *at = strstr(buf, field);
  CHECKF(at != NULL, "no %s", field);
  return atol(at + strlen(field));
}

static __attribute__((unused)) long arg_long(int argc, char **argv, int i, long otherwise) {
  return argc > i ? strtol(argv[i], NULL, 0) : otherwise;
}

static __attribute__((unused)) int ok(void) {
  CHECK(write(1, "ok\n", 3) == 3);
  return 0;
}

#endif
