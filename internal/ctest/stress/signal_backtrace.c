// A storm of signals over threads that allocate: the handler unwinds with
// backtrace(), and every unwinding must pass the allocator's frames and reach
// the function the thread began with. Primed first: the first backtrace loads
// libgcc_s, which allocates.
// run: 4
// long: 30
// timeout: 120s
// cflags: -rdynamic
// norseq: 2
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include "watchdog.h"
enum { THREADS = 3, DEPTH = 64 };
static int stop, lost_depth, lost_taken;
static void *lost[DEPTH];
static unsigned long unwound, inside;
static __thread volatile int in_worker;
static char malloc_lib[PATH_MAX];
static uintptr_t lib_lo, lib_hi;
// The thread's functions lie in a section of their own, so that a frame in
// them is known by its address.
extern const char __start_begin_text[], __stop_begin_text[];
static int in_begin(void *pc) { return (const char *)pc >= __start_begin_text && (const char *)pc <= __stop_begin_text; }
static void handler(int sig) {
  (void)sig;
  if (!in_worker) return;
  int saved = errno;
  void *pc[DEPTH];
  int n = backtrace(pc, DEPTH), reached = 0;
  for (int i = 0; i < n; i++) {
    if (in_begin(pc[i])) reached = 1;
    if ((uintptr_t)pc[i] >= lib_lo && (uintptr_t)pc[i] < lib_hi) __atomic_add_fetch(&inside, 1, __ATOMIC_RELAXED);
  }
  __atomic_add_fetch(&unwound, 1, __ATOMIC_RELAXED);
  if (!reached && !__atomic_exchange_n(&lost_taken, 1, __ATOMIC_ACQ_REL)) {
    memcpy(lost, pc, sizeof lost);
    __atomic_store_n(&lost_depth, n ? n : -1, __ATOMIC_RELEASE);
  }
  errno = saved;
}
static __attribute__((section("begin_text"), noinline)) void *begin(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg;
  void *p[64] = {0};
  in_worker = 1;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    size_t i = rnd(&seed) % 64, n = rnd(&seed) % ((size_t)1 << (rnd(&seed) % 19));
    switch (rnd(&seed) % 4) {
    case 0: p[i] = realloc(p[i], n + 1); break;
    case 1: free(p[i]), p[i] = calloc(1, n); break;
    case 2: free(p[i]), p[i] = memalign(64, n); break;
    default: free(p[i]), p[i] = malloc(n);
    }
  }
  in_worker = 0;
  for (int i = 0; i < 64; i++) free(p[i]);
  return NULL;
}
int main(int argc, char **argv) {
  int seconds = (int)arg_long(argc, argv, 1, 4);
  watchdog((unsigned)seconds + 60);
  void *prime[DEPTH];
  CHECK(backtrace(prime, DEPTH) > 0);
  Dl_info info;
  CHECK(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info));
  snprintf(malloc_lib, sizeof malloc_lib, "%s", info.dli_fname);
  FILE *f = fopen("/proc/self/maps", "r");
  char line[1024];
  while (f && fgets(line, sizeof line, f)) {
    unsigned long lo, hi;
    if (!strstr(line, malloc_lib) || sscanf(line, "%lx-%lx", &lo, &hi) != 2) continue;
    if (lib_lo == 0) lib_lo = lo;
    lib_hi = hi;
  }
  if (f) fclose(f);
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_handler = handler;
  sa.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &sa, NULL);
  sigaction(SIGPROF, &sa, NULL);
  struct itimerval it = {{0, 997}, {0, 997}};
  setitimer(ITIMER_PROF, &it, NULL);
  pthread_t t[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], NULL, begin, (void *)(uintptr_t)(i + 1)) == 0);
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  now = start;
  while (now.tv_sec - start.tv_sec < seconds && !__atomic_load_n(&lost_depth, __ATOMIC_ACQUIRE)) {
    for (int i = 0; i < THREADS; i++) pthread_kill(t[i], SIGUSR1);
    usleep(500);
    clock_gettime(CLOCK_MONOTONIC, &now);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  if (lost_depth) {
    dprintf(2, "an unwinding did not reach the thread's first function:\n");
    if (lost_depth > 0) backtrace_symbols_fd(lost, lost_depth, 2);
    _exit(1);
  }
  dprintf(1, "%lu unwindings, %lu frames inside %s\n", unwound, inside, malloc_lib);
  CHECK(unwound > 100 && inside > 10);
  return ok();
}
