// expect: ^free\b.*foreign.*/[^ ]*foreign_file
// free of a pointer into a mapped file.
#include "misuse.h"
#include <sys/mman.h>
int main(void) {
  bystanders();
  int fd = open("/proc/self/exe", O_RDONLY);
  char *p = (char *)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  CHECK(p != MAP_FAILED);
  MISUSE(p, free(p));
  return survived();
}
