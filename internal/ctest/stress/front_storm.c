// 64 threads allocate, free each other's blocks and pause, under signals and changes of affinity, while the
// background work runs at a thousand times its rate: budgets move between vCPUs, classes and whole caches are
// drained, slabs grow and shrink. Every block has one owner; afterwards the books of the caches balance, and the sum
// of the budgets is what it was. Modes: rseq's mm_cid and cpu_id, our own registration, locks; the paper's policy.
// Without membarrier slabs are drained and budgets moved by visits of CPUs, and not at all with mm_cid.
// only: vcmalloc
// run: mm_cid 10
// run: cpu 10
// run: own 10
// run: lock 10
// run: paper 4
// long: mm_cid 120
// long: cpu 120
// long: own 120
// long: lock 120
// long: paper 120
// norseq: mm_cid 2
// norseq: auto 3
// norseq: own 3
// timeout: 200s
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include "../../../include/vcmalloc.h"
#include "books.h"
#include "watchdog.h"
enum { THREADS = 64, HELD = 1024, BOXES = 512 };
typedef struct {
  uint64_t owner, size;
} block;
static int stop;
static unsigned phase; // which sizes are in fashion
static pthread_t thread[THREADS];
static pid_t tid[THREADS];
static block *box[BOXES]; // blocks on their way between threads
static uint64_t handled;
static void on_signal(int sig) {
  (void)sig;
  __atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
  void *p = hide(malloc(40)); // also in the middle of a malloc
  CHECK(p != NULL);
  free(p);
}
static int fences(void) { return syscall(SYS_membarrier, 256, 0, 0) == 0; }
static uint64_t *last_word(block *b) { return (uint64_t *)((char *)b + (b->size & ~7ul)) - 1; }
static block *make(uint64_t owner, size_t n) {
  block *b = hide(malloc(n));
  CHECK(b != NULL);
  b->owner = owner, b->size = n;
  *last_word(b) = owner;
  return b;
}
static void drop(block *b, uint64_t owner) {
  CHECKF(b->owner == owner && *last_word(b) == owner, "block %p of %llx (%zu bytes) belongs to %llx and %llx", (void *)b,
         (unsigned long long)owner, (size_t)b->size, (unsigned long long)b->owner, (unsigned long long)*last_word(b));
  b->owner = *last_word(b) = ~owner;
  free(b);
}
enum { ADRIFT = 0xd21f7 };
static void *worker(void *arg) {
  uint64_t me = (uint64_t)(uintptr_t)arg, seed = me;
  __atomic_store_n(&tid[me - 1], (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
  static __thread block *held[HELD];
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    unsigned now = __atomic_load_n(&phase, __ATOMIC_RELAXED);
    if (now % 16 == 15) { // everybody rests: whole vCPUs are idle
      usleep(5000);
      continue;
    }
    size_t base = (size_t)24 << now % 8, spread = base;
    size_t n = base > 512 ? HELD / 16 : 1 + rnd(&seed) % HELD;
    for (size_t i = 0; i < n; i++)
      if (!held[i]) held[i] = make(me << 32 | i, base + rnd(&seed) % spread);
    if (rnd(&seed) % 4 == 0) { // some change hands
      size_t i = rnd(&seed) % n;
      held[i]->owner = *last_word(held[i]) = ADRIFT;
      block *other = __atomic_exchange_n(&box[rnd(&seed) % BOXES], held[i], __ATOMIC_ACQ_REL);
      held[i] = NULL;
      if (other) drop(other, ADRIFT);
    }
    for (size_t i = 0; i < n; i++)
      if (held[i] && (rnd(&seed) % 8 != 0 || now % 4 == 0)) drop(held[i], me << 32 | i), held[i] = NULL;
  }
  for (size_t i = 0; i < HELD; i++)
    if (held[i]) drop(held[i], me << 32 | i);
  return NULL;
}
static void *background(void *unused) {
  void (*work)(void) = (void (*)(void))sym("vcmalloc_background");
  for (unsigned i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
    work();
    usleep(1000);
    if (i % 400 == 399) malloc_trim(0); // drains everything at once
  }
  return unused;
}
static void *disturb(void *unused) {
  uint64_t seed = 99;
  cpu_set_t all;
  CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
  for (unsigned i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
    size_t k = rnd(&seed) % THREADS;
    pid_t who = __atomic_load_n(&tid[k], __ATOMIC_ACQUIRE);
    if (who && i % 2) CHECK(pthread_kill(thread[k], SIGUSR1) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    int cpu = (int)(rnd(&seed) % CPU_SETSIZE);
    for (int tries = 0; tries < CPU_SETSIZE && !CPU_ISSET(cpu, &all); tries++) cpu = (cpu + 1) % CPU_SETSIZE;
    CPU_SET(cpu, &one);
    if (who) sched_setaffinity(who, sizeof one, i % 5 ? &one : &all);
    usleep(200);
    if (i % 250 == 249) __atomic_fetch_add(&phase, 1, __ATOMIC_RELAXED);
  }
  return unused;
}
static unsigned long long sum, drains_all, steals_all, resizes_all;
static void add(const struct vcpu_row *r) {
  sum += r->capacity, drains_all += r->drains, steals_all += r->steals, resizes_all += r->resizes;
  CHECKF(r->used + r->available <= r->capacity, "vCPU %llu holds %llu bytes, has %llu left of %llu", r->v, r->used, r->available,
         r->capacity);
}
// books reads the report's rows of vCPUs. Where all is asked for, all that the title says must have happened: with
// fences, and in time enough for it.
static void books(int all) {
  int rows = each_vcpu(add);
  CHECKF(rows > 0 && sum == (unsigned long long)rows * (3 << 19), "%d budgets have %llu bytes", rows, sum);
  CHECKF(!all || (drains_all > 0 && steals_all > 0 && resizes_all > 0), "%llu drains, %llu steals, %llu resizes", drains_all,
         steals_all, resizes_all);
}
int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "mm_cid";
  int seconds = (int)arg_long(argc, argv, 2, 3);
  watchdog((unsigned)seconds + 60);
  if (getenv("VCMALLOC_TICK") == NULL) {
    setenv("VCMALLOC_TICK", "1", 1);
    if (!fences()) setenv("VCMALLOC_BACKGROUND_FROM", "0", 1); // who tests that visits work
    if (strcmp(mode, "own") == 0) setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
    else if (strcmp(mode, "paper") == 0) setenv("VCMALLOC_PERCPU_POLICY", "paper", 1);
    else setenv("VCMALLOC_VCPU", mode, 1);
    execv("/proc/self/exe", argv);
    CHECK(0);
  }
  struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
  pthread_attr_t attr;
  CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 128 << 10) == 0);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&thread[i], &attr, worker, (void *)(uintptr_t)(i + 1)) == 0);
  pthread_t others[2];
  CHECK(pthread_create(&others[0], NULL, background, NULL) == 0 && pthread_create(&others[1], NULL, disturb, NULL) == 0);
  sleep((unsigned)seconds);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < 2; i++) pthread_join(others[i], NULL); // first of all: it signals the others
  for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
  for (int i = 0; i < BOXES; i++)
    if (box[i]) drop(box[i], ADRIFT);
  CHECK(handled > 100);
  struct vcmalloc_stats s;
  int (*get_stats)(struct vcmalloc_stats *) = (int (*)(struct vcmalloc_stats *))sym("vcmalloc_get_stats");
  CHECK(get_stats(&s) == 0);
  size_t sum = s.in_use + s.cached + s.slack + s.page_heap_free + s.released;
  CHECKF(s.mapped == sum, "%zu bytes are mapped, %zu accounted for", (size_t)s.mapped, sum);
  CHECKF(s.in_use < 1 << 20, "%zu bytes are in use with everything freed", (size_t)s.in_use);
  books(seconds >= 4 && (fences() || strcmp(mode, "mm_cid") != 0));
  return ok();
}
