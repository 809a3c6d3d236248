// Where membarrier is refused, a vCPU is a CPU, and the background thread goes there to take its slab: what threads
// left in the caches of their CPUs comes back when nobody uses it any more, and malloc_trim has it drained. The CPUs on
// which the thread, and who calls vcmalloc_background, may run stay what they were.
// only: vcmalloc
// run: idle
// run: trim
// serial:
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include "../../../include/vcmalloc.h"
#include "books.h"
#include "seccomp.h"
#include "watchdog.h"
enum { HELD = 3000, FORMS = 6 };
static cpu_set_t allowed;
static int cpu_of(int nth) {
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed) && nth-- == 0) return cpu;
  return -1;
}
static void *worker(void *arg) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET((int)(intptr_t)arg, &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  static __thread void *held[HELD];
  for (int round = 0; round < 40; round++) {
    size_t size = (size_t)24 << round % FORMS;
    for (int i = 0; i < HELD; i++) CHECK((held[i] = hide(malloc(size))) != NULL);
    for (int i = 0; i < HELD; i++) free(held[i]);
  }
  return NULL;
}
typedef struct {
  int rows;
  unsigned long long used, drained, resized; // bytes; rows with a drain, with another layout
} books;
static books now_read;
static void note(const struct vcpu_row *r) {
  CHECKF(r->v < CPU_SETSIZE && CPU_ISSET((int)r->v, &allowed), "vCPU %llu is no CPU of ours", r->v);
  now_read.used += r->used, now_read.drained += r->drains > 0, now_read.resized += r->resizes > 0;
}
static books read_books(void) {
  now_read = (books){0};
  now_read.rows = each_vcpu(note);
  return now_read;
}
// The thread that is not the first one.
static pid_t background_thread(void) {
  pid_t other = 0;
  DIR *d = opendir("/proc/self/task");
  CHECK(d != NULL);
  for (struct dirent *e; (e = readdir(d)) != NULL;)
    if (e->d_name[0] != '.' && atoi(e->d_name) != getpid()) other = atoi(e->d_name);
  closedir(d);
  return other;
}
int main(int argc, char **argv) {
  int trim = argc > 1 && strcmp(argv[1], "trim") == 0;
  watchdog(50);
  if (getenv("VCMALLOC_BACKGROUND_FROM") == NULL) {
    struct denial d[] = {{.nr = SYS_membarrier, .err = ENOSYS}};
    deny_syscalls(d, 1);
    setenv("VCMALLOC_BACKGROUND_FROM", "0", 1);
    // The thread wakes once a second. Nothing is idle within a trim's test: that takes six looks, 30 ticks.
    setenv("VCMALLOC_TICK", trim ? "1000" : "50", 1);
    execv("/proc/self/exe", argv);
    CHECK(0);
  }
  CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  int cpus = CPU_COUNT(&allowed) < 4 ? CPU_COUNT(&allowed) : 4;
  for (int i = 0; i < cpus; i++) {
    pthread_t t;
    CHECK(pthread_create(&t, NULL, worker, (void *)(intptr_t)cpu_of(i)) == 0 && pthread_join(t, NULL) == 0);
  }
  books b = read_books();
  CHECKF(b.rows >= cpus && b.resized >= (unsigned)cpus, "%d vCPUs, %llu with another layout", b.rows, b.resized);
  CHECKF(b.used > (unsigned)cpus * 100000, "%llu bytes are cached", b.used);
  CHECK(b.drained == 0);
  if (trim) malloc_trim(0);
  void (*work)(void) = (void (*)(void))sym("vcmalloc_background");
  for (int i = 0; i < 15 && b.drained < (unsigned)b.rows; i++) {
    // 30 ticks are the half minute after which caches are idle; to read the books is to use one.
    for (int j = 0; j < 40; j++) usleep(55 * 1000), work();
    b = read_books();
  }
  CHECKF(b.drained >= (unsigned)cpus, "%llu of %d vCPUs were drained, %llu bytes are left", b.drained, b.rows, b.used);
  cpu_set_t now;
  CHECK(sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &allowed));
  pid_t thread = background_thread();
  CHECK(thread != 0 && sched_getaffinity(thread, sizeof now, &now) == 0 && CPU_EQUAL(&now, &allowed));
  return ok();
}
