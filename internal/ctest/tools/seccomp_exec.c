// seccomp_exec [-rseq ERRNO] [-membarrier ERRNO] PROGRAM [ARG]... runs a program
// under a filter that fails these system calls, with ENOSYS or EPERM.
#include "seccomp.h"
static int number(const char *name) {
  if (!strcmp(name, "ENOSYS")) return ENOSYS;
  if (!strcmp(name, "EPERM")) return EPERM;
  CHECKF(0, "unknown errno %s", name);
  return 0;
}
int main(int argc, char **argv) {
  struct denial d[16];
  int n = 0, i = 1;
  for (; i + 1 < argc && argv[i][0] == '-' && n < 16; i += 2) {
    d[n].nr = !strcmp(argv[i], "-rseq") ? SYS_rseq : !strcmp(argv[i], "-membarrier") ? SYS_membarrier : -1;
    CHECKF(d[n].nr >= 0, "unknown option %s", argv[i]);
    d[n++].err = number(argv[i + 1]);
  }
  CHECKF(i < argc, "usage: seccomp_exec [-rseq ERRNO] [-membarrier ERRNO] PROGRAM [ARG]...");
  deny_syscalls(d, n);
  execv(argv[i], argv + i);
  CHECKF(0, "exec %s", argv[i]);
}
