// The system stops giving memory midway: mmap and mremap fail with ENOMEM, or
// even EPERM, and brk by RLIMIT_DATA. malloc returns NULL with ENOMEM, blocks
// stay intact, freed memory can be had again, munmap or not.
// run: enomem mixed
// run: eperm mixed
// run: enomem small
// run: nounmap mixed
// timeout: 60s
#include "exhaust.h"
#include "seccomp.h"
static size_t got, until = 40 << 20;
static void deny(void);
static const char *how;
static void *get(size_t n) {
  if (until && got > until) until = 0, deny();
  errno = 0;
  void *p = hide(malloc(n));
  CHECKF(p != NULL || errno == ENOMEM, "errno %d", errno);
  got += n;
  return p;
}
static void deny(void) {
  struct rlimit r = {4096, RLIM_INFINITY};
  int err = strcmp(how, "eperm") ? ENOMEM : EPERM;
  CHECK(setrlimit(RLIMIT_DATA, &r) == 0);
  struct denial d[] = {{SYS_mmap, err}, {SYS_mremap, err}, {SYS_munmap, ENOMEM}, {SYS_madvise, EINVAL}};
  deny_syscalls(d, strcmp(how, "nounmap") ? 2 : 4);
}
int main(int argc, char **argv) {
  CHECK(argc > 2);
  how = argv[1];
  size_t total = exhaust_fill(argv[2], get);
  CHECK(total >= 40 << 20);
  // What goes back by munmap can't be had again here; what is small can.
  size_t freed = 0, again = 0;
  for (size_t i = 0; i < exhaust_n; i++) exhaust_inspect(i, exhaust_size(argv[2], i));
  for (size_t i = 0; i < exhaust_n; i++) {
    if (!exhaust_half(i)) continue;
    KEEPS_ERRNO(free(exhaust_p[i]));
    exhaust_p[i] = NULL;
  }
  for (size_t i = 0; i < exhaust_n; i++) {
    size_t n = exhaust_size(argv[2], i);
    if (exhaust_p[i] || n > 10000) continue;
    freed++;
    if ((exhaust_p[i] = get(n)) == NULL) continue;
    exhaust_paint(i, n);
    again++;
  }
  CHECKF(again >= freed / 2, "%zu small blocks freed, only %zu could be had again", freed, again);
  for (size_t i = 0; i < exhaust_n; i++)
    if (exhaust_p[i]) exhaust_inspect(i, exhaust_size(argv[2], i));
  for (size_t i = 0; i < exhaust_n; i++) KEEPS_ERRNO(free(exhaust_p[i]));
  NOMEM(malloc(num((size_t)2 << 30)));
  return ok();
}
