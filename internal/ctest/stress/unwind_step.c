// Unwinding at any instruction: malloc, free and the rest run with the trap
// flag set, and the handler of each step unwinds to main. A restartable
// sequence never ends while every instruction traps: when an address comes
// again and again, stepping pauses and a timer resumes it a little later.
// timeout: 120s
// cflags: -rdynamic
// norseq:
// serial:
#include <execinfo.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include "watchdog.h"
enum { DEPTH = 48, SEEN = 4096, TF = 0x100 };
static volatile int stepping;
static unsigned long steps, pauses;
static timer_t timer;
static struct { uintptr_t pc; unsigned n; } seen[SEEN];
extern const char __start_begin_text[], __stop_begin_text[];
static void unwind(void) {
  void *pc[DEPTH];
  int n = backtrace(pc, DEPTH);
  for (int i = 0; i < n; i++)
    if ((const char *)pc[i] >= __start_begin_text && (const char *)pc[i] <= __stop_begin_text) return;
  dprintf(2, "unwinding step %lu did not reach run():\n", steps);
  backtrace_symbols_fd(pc, n, 2);
  _exit(1);
}
static void step(int sig, siginfo_t *info, void *context) {
  (void)info;
  ucontext_t *u = (ucontext_t *)context;
  uintptr_t pc = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
  if (!stepping) {
    u->uc_mcontext.gregs[REG_EFL] &= ~TF;
    return;
  }
  int saved = errno;
  steps++;
  unwind();
  u->uc_mcontext.gregs[REG_EFL] |= TF;
  unsigned slot = (unsigned)(pc * 0x9e3779b97f4a7c15ull >> 52) % SEEN;
  if (seen[slot].pc != pc) seen[slot].pc = pc, seen[slot].n = 0;
  if (sig == SIGTRAP && ++seen[slot].n % 64 == 0) {
    u->uc_mcontext.gregs[REG_EFL] &= ~TF;
    static uint64_t seed = 1;
    struct itimerspec soon = {{0, 0}, {0, (long)(500 + rnd(&seed) % 30000)}};
    timer_settime(timer, 0, &soon, NULL);
    pauses++;
  }
  errno = saved;
}
static inline __attribute__((always_inline)) void trap(int on) {
  stepping = on;
  if (on) memset((void *)seen, 0, sizeof seen);
  if (on) __asm__ volatile("pushf; orl $0x100, (%%rsp); popf" ::: "memory", "cc");
  else __asm__ volatile("pushf; andl $0xfffffeff, (%%rsp); popf" ::: "memory", "cc");
}
static __attribute__((section("begin_text"), noinline)) void run(void) {
  static const size_t sizes[] = {0, 24, 100, 1000, 20000, 300000, 3 << 20};
  for (int round = 0; round < 6; round++)
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      void *p, *q, *r;
      trap(1);
      p = malloc(sizes[i]);
      trap(0), trap(1);
      q = memalign(256, sizes[i]);
      trap(0), trap(1);
      r = realloc(p, sizes[i] + 8);
      trap(0), trap(1);
      (void)malloc_usable_size(q);
      trap(0), trap(1);
      free(q);
      trap(0), trap(1);
      free(r);
      trap(0);
    }
}
int main(void) {
  watchdog(100);
  void *prime[DEPTH];
  CHECK(backtrace(prime, DEPTH) > 0);
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_sigaction = step;
  sa.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaddset(&sa.sa_mask, SIGUSR2);
  sigaction(SIGTRAP, &sa, NULL);
  sigaction(SIGUSR2, &sa, NULL);
  struct sigevent ev;
  memset(&ev, 0, sizeof ev);
  ev.sigev_notify = SIGEV_SIGNAL;
  ev.sigev_signo = SIGUSR2;
  CHECK(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
  run();
  dprintf(1, "%lu steps unwound, %lu pauses\n", steps, pauses);
  CHECK(steps > 1000);
  return ok();
}
