// A randomised differential test. Threads allocate by every function, realloc,
// and free each other's blocks of 0 bytes to 8 MiB, sizes spread by their
// logarithm. Each block is filled with a pattern of its address and a seed, and
// checked before it is changed or freed. At the end of each phase all threads
// stand still, and the allocator's figure of bytes in use must equal the sum
// of the usable sizes of the live blocks, to the byte.
//
//   fuzz_diff SECONDS [SEED [THREADS [MIB-LIVE]]]
//
// A failure is replayed with the seed printed; exactly so with one thread.
// env: VCMALLOC_BACKGROUND=0
// run: 10
// run: 4 0 1
// run: 6 0 16 48
// long: 120
// long: 60 0 1
// long: 120 0 32 512
// timeout: 60s
// norseq: 2
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include "watchdog.h"

enum { SLOTS = 3000, MAX_THREADS = 64, SLACK = 1024 };
enum kind { PLAIN, ALIGNED };
struct slot {
  char busy;
  enum kind kind;
  unsigned char *p;
  size_t n, usable, align;
  uint64_t seed;
};
static struct slot slots[SLOTS];
static int threads = 4, stop;
static size_t cap = 160 << 20;
static int64_t live;
static unsigned long ops;
static pthread_barrier_t barrier;
static uint64_t seed0;
static size_t baseline;
static void (*free_sized_)(void *, size_t);
static void (*free_aligned_sized_)(void *, size_t, size_t);
static void (*sdallocx_)(void *, size_t, int);

#define FUZZ(cond, s)                                                                                            \
  CHECKF(cond, "seed %#lx threads %d: block %p n %zu usable %zu align %zu", (unsigned long)seed0, threads, (void *)(s)->p, \
         (s)->n, (s)->usable, (s)->align)

// Words of a block that carry the pattern: all of a small one; of a large one
// both ends and one in each 512 bytes.
static size_t next_word(size_t i, size_t words) { return words <= 4096 || i < 128 || i + 128 >= words ? i + 1 : i + 64; }
static uint64_t word_at(const struct slot *s, size_t i) { return s->seed + (i + 1) * 0x9e3779b97f4a7c15ull; }
static void paint(struct slot *s) {
  s->seed ^= (uintptr_t)s->p;
  size_t words = s->n / 8;
  for (size_t i = 0; i < words; i = next_word(i, words)) ((uint64_t *)s->p)[i] = word_at(s, i);
  for (size_t i = words * 8; i < s->n; i++) s->p[i] = (unsigned char)s->seed;
}
static void inspect(const struct slot *s, size_t upto) {
  size_t words = s->n / 8, end = upto / 8 < words ? upto / 8 : words;
  for (size_t i = 0; i < end; i = next_word(i, words))
    CHECKF(((uint64_t *)s->p)[i] == word_at(s, i), "seed %#lx threads %d: block %p of %zu bytes damaged at %zu: %#lx", (unsigned long)seed0,
           threads, (void *)s->p, s->n, i * 8, ((unsigned long *)s->p)[i]);
  for (size_t i = words * 8; i < s->n && i < upto; i++) FUZZ(s->p[i] == (unsigned char)s->seed, s);
}
static size_t pick_size(uint64_t *r) {
  unsigned lg = (unsigned)(rnd(r) % 24);
  if (lg > 16 && rnd(r) % 8) lg = (unsigned)(rnd(r) % 14);
  if (__atomic_load_n(&live, __ATOMIC_RELAXED) > (int64_t)cap) lg %= 8;
  size_t n = (rnd(r) & (((size_t)1 << lg) - 1)) | (lg ? (size_t)1 << (lg - 1) : 0);
  if (rnd(r) % 16 == 0) n = SIZES[rnd(r) % 50];
  return n;
}
static void settle(struct slot *s) {
  s->usable = malloc_usable_size(s->p);
  FUZZ(s->usable >= s->n, s);
  FUZZ(aligned(s->p, s->kind == ALIGNED && s->align > 16 ? s->align : 16), s);
  __atomic_add_fetch(&live, (int64_t)s->usable, __ATOMIC_RELAXED);
}
static void allocate(struct slot *s, uint64_t *r) {
  s->n = pick_size(r), s->seed = rnd(r), s->kind = PLAIN, s->align = 16;
  void *q = NULL;
  unsigned how = (unsigned)(rnd(r) % 16);
  if (how < 9) {
    s->p = (unsigned char *)malloc(s->n);
  } else if (how < 12) {
    s->p = (unsigned char *)(rnd(r) & 1 ? calloc(1, s->n) : calloc(s->n, 1));
    if (s->p)
      for (size_t i = 0, words = s->n / 8; i < words; i = next_word(i, words))
        CHECKF(((uint64_t *)s->p)[i] == 0, "seed %#lx: calloc(%zu) = %p not zero at %zu", (unsigned long)seed0, s->n, (void *)s->p, i * 8);
  } else if (how < 13) {
    s->p = (unsigned char *)realloc(NULL, s->n);
  } else {
    s->kind = ALIGNED;
    unsigned lg = (unsigned)(rnd(r) % 13);
    if (rnd(r) % 32 == 0) lg = (unsigned)(rnd(r) % 24);
    s->align = (size_t)1 << lg;
    if (how == 13) s->p = (unsigned char *)memalign(s->align, s->n);
    else if (how == 14) s->p = (unsigned char *)aligned_alloc(s->align, s->n);
    else {
      if (s->align < 8) s->align = 8;
      CHECK(posix_memalign(&q, s->align, s->n) == 0);
      s->p = (unsigned char *)q;
    }
  }
  FUZZ(s->p != NULL, s);
  settle(s);
  paint(s);
}
static void release(struct slot *s, uint64_t *r) {
  inspect(s, s->n);
  FUZZ(malloc_usable_size(s->p) == s->usable, s);
  __atomic_sub_fetch(&live, (int64_t)s->usable, __ATOMIC_RELAXED);
  unsigned how = (unsigned)(rnd(r) % 8);
  if (s->kind == PLAIN && how == 0 && free_sized_) free_sized_(s->p, s->n);
  else if (s->kind == PLAIN && how == 1 && sdallocx_) sdallocx_(s->p, s->n, 0);
  else if (s->kind == ALIGNED && how < 3 && free_aligned_sized_) free_aligned_sized_(s->p, s->align, s->n);
  else free(s->p);
  s->p = NULL;
}
static void resize(struct slot *s, uint64_t *r) {
  inspect(s, s->n);
  size_t n = rnd(r) % 3 ? pick_size(r) : s->n + rnd(r) % 64;
  if (n == 0) n = 1;
  __atomic_sub_fetch(&live, (int64_t)s->usable, __ATOMIC_RELAXED);
  unsigned char *p = (unsigned char *)realloc(s->p, n);
  CHECKF(p != NULL, "realloc to %zu", n);
  s->p = p;
  inspect(s, n);
  s->n = n, s->kind = PLAIN, s->align = 16;
  settle(s);
  paint(s);
}
static void check_accounts(const char *when, unsigned phase) {
  size_t held = 0, blocks = 0;
  for (int i = 0; i < SLOTS; i++)
    if (slots[i].p) held += slots[i].usable, blocks++;
  CHECK((int64_t)held == live);
  size_t used = in_use();
  if (phase % 16 == 0) dprintf(1, "phase %u (%s): %lu ops, %zu blocks, %zu bytes held, in use %zu\n", phase, when, ops, blocks, held, used - baseline);
  if (!expecting()) return;
  // The allocator may start one thread of its own, for which the C library
  // allocates a little, once.
  static size_t once;
  ssize_t off = (ssize_t)(used - baseline - held);
  if (off > 0 && off <= SLACK && once == 0) {
    once = (size_t)off, baseline += once;
    off = 0;
  }
  CHECKF(off == 0, "seed %#lx threads %d, %s: %zu bytes in use since the start, %zu held: off by %zd", (unsigned long)seed0, threads, when,
         used - baseline, held, off);
}
static void *worker(void *arg) {
  uint64_t r = seed0 + (uint64_t)(uintptr_t)arg * 0x123456789abcdefull;
  for (;;) {
    pthread_barrier_wait(&barrier);
    if (__atomic_load_n(&stop, __ATOMIC_RELAXED)) return NULL;
    for (int k = 0; k < 4000 / threads + 100; k++) {
      struct slot *s = &slots[rnd(&r) % SLOTS];
      if (__atomic_exchange_n(&s->busy, 1, __ATOMIC_ACQUIRE)) continue;
      if (s->p == NULL) allocate(s, &r);
      else if (rnd(&r) % 3 == 0) resize(s, &r);
      else release(s, &r);
      __atomic_store_n(&s->busy, 0, __ATOMIC_RELEASE);
      __atomic_add_fetch(&ops, 1, __ATOMIC_RELAXED);
    }
    pthread_barrier_wait(&barrier);
  }
}
int main(int argc, char **argv) {
  long seconds = arg_long(argc, argv, 1, 10);
  seed0 = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
  struct timespec ts, start;
  clock_gettime(CLOCK_REALTIME, &ts);
  if (seed0 == 0) seed0 = (uint64_t)ts.tv_sec * 1000000007 + (uint64_t)ts.tv_nsec + (uint64_t)getpid() * 7919;
  threads = (int)arg_long(argc, argv, 3, 4);
  cap = (size_t)arg_long(argc, argv, 4, 160) << 20;
  CHECK(threads > 0 && threads <= MAX_THREADS);
  dprintf(1, "replay: fuzz_diff %ld %#lx %d %zu\n", seconds, (unsigned long)seed0, threads, cap >> 20);
  watchdog((unsigned)seconds + 40);
  free_sized_ = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
  free_aligned_sized_ = (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
  sdallocx_ = (void (*)(void *, size_t, int))dlsym(RTLD_DEFAULT, "sdallocx");
  pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
  static pthread_t t[MAX_THREADS];
  for (int i = 0; i < threads; i++) CHECK(pthread_create(&t[i], NULL, worker, (void *)(uintptr_t)(i + 1)) == 0);
  baseline = in_use();
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (unsigned phase = 0;; phase++) {
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    check_accounts("quiescent", phase);
    if (phase % 20 == 7) malloc_trim(0), check_accounts("after malloc_trim", phase);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    if (ts.tv_sec - start.tv_sec >= seconds) break;
  }
  uint64_t r = seed0;
  for (int i = 0; i < SLOTS; i++)
    if (slots[i].p) release(&slots[i], &r);
  check_accounts("all freed", 16);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < threads; i++) pthread_join(t[i], NULL);
  return ok();
}
